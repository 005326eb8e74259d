"""Somebody else's implementation: every claim that speaks of it, and the likely cause where one fails."""

from metarep.sim.foreign import foreign_implementation, load_adapter
from metarep.sim.implementations import Implementation
from metarep.theory.claims import catalogue
from metarep.theory.engine.foreign.checking import CheckResult, check_implementation

__all__ = ["check"]


def check(adapter: str | Implementation, *, max_examples: int = 12, seed: int = 0) -> CheckResult:
    """Every claim of the catalogue that speaks of update maps, against one implementation.

    Args:
        adapter: a path to a Python file that ends in ``.py``, a dotted module name, or an ``Implementation``.
        max_examples: examples of each claim at most.
        seed: fixes the examples.

    Raises:
        AdapterError: the adapter cannot be used: it raised, changed its inputs, returned other shapes.
    """
    implementation = adapter if isinstance(adapter, Implementation) else foreign_implementation(load_adapter(adapter))
    return check_implementation(implementation, catalogue(), max_examples=max_examples, seed=seed)
