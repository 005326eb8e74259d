"""Finite samples: claims about steps on explicit samples, mean updates and moments, and FO-ANIL's noise floor."""

from metarep.theory.claims.chapter import Chapter

claim = Chapter("Finite samples")
