"""The one engine that runs claims against an implementation and returns evidence. Status is computed here and nowhere
else.

``verify`` gathers every kind of evidence that a claim's record has a function for: its proof, exact examples, float
examples (Hypothesis searches for a counterexample, is driven toward the worst margin, and shrinks what it finds), a
measurement.
"""

from metarep.theory.engine.evidence import Evidence, Finding, Power, Profile, counted, decode, encode
from metarep.theory.engine.run import replay, verify

__all__ = ["Evidence", "Finding", "Power", "Profile", "counted", "decode", "encode", "replay", "verify"]
