"""Wider than the truth: claims about fixed points, rates, and how superfluous directions are unlearned."""

from metarep.theory.claims.chapter import Chapter

claim = Chapter("Wider than the truth")
