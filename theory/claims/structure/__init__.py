"""Claims about the structure of a step: what it does off the truth, where it can go, what of the tasks it sees."""

from metarep.theory.claims.chapter import Chapter

claim = Chapter("Structure of a step")
