"""A calculus of inequalities: proofs of statements about one step or every step, which a small core checks again.

A *derivation* (``core.Derivation``) is plain data: the statement (region of the real variables, what is assumed of the
tasks and of the start, what is kept from step to step) and lines, each a rule, the lines it uses and what it says, in
strings such as ``"Delta - beta*(Delta*Psi + Psi*Delta)"``. ``core.check`` recomputes every line: identities by the word
calculus's normal form, bounds by the rule's own computation, inequalities between numbers in rational arithmetic.

Trusted: ``core``, ``rules`` (``rules_third``, ``rules_floor``), ``norms``, ``polynomials``, ``syntax``, ``letters``,
``steps``, and the calculus's ``words`` and ``rationals``. Proofs: ``theorem_*``, ``one_step``, ``floors``; checked and
by name in ``theorems``. Beside them: ``search`` finds constants, ``printing`` writes a proof in LaTeX, ``conditions``
evaluates the theorems' hypotheses on a problem, ``instances`` tries each rule and a broken version of it on random
matrices, ``controls`` holds what must be refused.
"""
