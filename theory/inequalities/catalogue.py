"""All rules of the core, by name."""

from metarep.theory.inequalities import rules_floor, rules_third
from metarep.theory.inequalities.rules import RULES

__all__ = ["RULES", "rules_floor", "rules_third"]
