"""Theorem 1 with explicit constants: proved by derivations that the core checks, and tried on simulated runs."""

from metarep.theory.claims.chapter import Chapter

claim = Chapter("Theorem 1")
