"""Claims about special points: the truth and other fixed points, zero heads, balanced starts, and average loss."""

from metarep.theory.claims.chapter import Chapter

claim = Chapter("Special points")
