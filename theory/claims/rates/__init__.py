"""Claims about rates: the linearisation of every learner at the truth, its spectrum, and the rate at which dist falls
there.
"""

from metarep.theory.claims.chapter import Chapter

claim = Chapter("Rates at the truth")
