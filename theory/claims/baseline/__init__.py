"""The baseline fails: claims about average-loss minimisation, and about why diverse tasks are needed."""

from metarep.theory.claims.chapter import Chapter

claim = Chapter("The baseline fails")
