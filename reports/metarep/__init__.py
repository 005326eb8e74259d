"""metarep: whether what is claimed about representation learning by MAML and ANIL is true, how tight it is, and whether
an implementation does it.

>>> import metarep
>>> metarep.verify(metarep.get_claim("right-factor-maml")).status
<Verdict.PROVED: 'PROVED'>

Learners and runs: ``LEARNERS``, ``get_learner``, ``Learner`` (a spec of one's own), ``make_problem``, ``run``. Theory:
``derive`` (the outer update in words, for all d, k, n), ``local_spectrum`` (one step's linearisation at the truth).
Claims: ``catalogue``, ``get_claim``, ``verify``, ``replay``. Somebody's code: ``check`` (an implementation), ``study``
(a learner).

The rooms behind this door: ``metarep.sim`` (what happens), ``metarep.theory`` (what should be true) and
``metarep.reports`` (what people read). Names are imported when they are first used: ``import metarep`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metarep.reports.study.guarantee import guarantee
    from metarep.reports.study.study import study
    from metarep.sim.learners import LEARNERS, Learner, get_learner
    from metarep.sim.problems import make_problem
    from metarep.sim.trajectories import run
    from metarep.theory.claims import catalogue, get_claim
    from metarep.theory.dynamics.derive import derive
    from metarep.theory.dynamics.rates import local_spectrum
    from metarep.theory.engine import replay, verify
    from metarep.theory.engine.foreign import check

    __version__: str

__all__ = [
    "LEARNERS",
    "Learner",
    "__version__",
    "catalogue",
    "check",
    "derive",
    "get_claim",
    "get_learner",
    "guarantee",
    "local_spectrum",
    "make_problem",
    "replay",
    "run",
    "study",
    "verify",
]

_HOMES = {
    "sim.learners": ("LEARNERS", "Learner", "get_learner"),
    "sim.problems": ("make_problem",),
    "sim.trajectories": ("run",),
    "theory.claims": ("catalogue", "get_claim"),
    "theory.dynamics.derive": ("derive",),
    "theory.dynamics.rates": ("local_spectrum",),
    "theory.engine": ("replay", "verify"),
    "theory.engine.foreign": ("check",),
    "reports.study.guarantee": ("guarantee",),
    "reports.study.study": ("study",),
}
"""By module: the public names that live there."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("metarep")
    for module, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"metarep.{module}"), name)
            return value
    raise AttributeError(f"module 'metarep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
