"""Large and odd points of a step, one call each: sizes, norms and step sizes that few of the drawn examples have."""

from collections.abc import Iterator

import numpy as np

from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.claims.record import Claim, Example
from metarep.theory.engine.foreign.places import Place, made_at

_PLAIN = Place(d=5, k=2, n=3, rank=2, width=2, alpha=0.37, beta=0.26, B=1.3, w=0.9, theta=1.7)

ODD: dict[str, Place] = {
    "a large dimension": _PLAIN._replace(d=100, k=3, width=3, n=7, rank=3),
    "large sizes": _PLAIN._replace(d=60, k=10, width=10, n=30, rank=10),
    "many tasks, of a higher rank than k": _PLAIN._replace(d=13, n=70, rank=5),
    "a square representation": _PLAIN._replace(d=4, k=4, width=4),
    "one of everything": _PLAIN._replace(d=1, k=1, n=1, rank=1, width=1),
    "fewer tasks than k": _PLAIN._replace(d=7, k=5, width=5),
    "a large representation": _PLAIN._replace(B=40.0, alpha=0.37 / 900, beta=0.26 / 900),
    "a small representation": _PLAIN._replace(B=1e-7),
    "a large head": _PLAIN._replace(w=60.0, alpha=0.37 / 3600, beta=0.26 / 3600),
    "no head": _PLAIN._replace(w=0.0),
    "no representation": _PLAIN._replace(B=0.0),
    "large targets": _PLAIN._replace(theta=300.0),
    "no targets": _PLAIN._replace(theta=0.0),
    "a representation of lower rank": _PLAIN._replace(width=1),
    "equal step sizes": _PLAIN._replace(beta=0.37),
    "no inner step": _PLAIN._replace(alpha=0.0),
    "no outer step": _PLAIN._replace(beta=0.0),
    "a large inner step": _PLAIN._replace(alpha=3.1),
    "a large outer step": _PLAIN._replace(beta=5.3),
    "tiny step sizes": _PLAIN._replace(alpha=1.3e-7, beta=2.7e-9),
}
"""What is odd about each. Few differ in shape: for some libraries each shape is compiled anew."""
SEED = 1707


def odd_examples(claim: Claim) -> Iterator[Example]:
    """The odd points as examples of a claim that says what a step is; none for another claim."""
    if claim.id in {f"{what}-{name}" for what in ("update", "several-inner-steps") for name in LEARNERS}:
        rng = np.random.default_rng(SEED)
        yield from (_example(place, rng) for place in ODD.values())


def _example(place: Place, rng: np.random.Generator) -> Example:
    """As ``strategies.any_step`` draws: B_* are the first columns of the identity, but for two reflections."""
    at = made_at(place, Learner("any", "head"), rng)
    frame = rng.uniform(-1, 1, (2, place.d))
    heads = rng.standard_normal((place.rank, place.n))
    heads *= place.theta / np.linalg.norm(heads, axis=0).max()
    return {
        **{name: getattr(place, name) for name in ("d", "k", "n", "alpha", "beta")},
        "B": at.B[0].tolist(),
        "w": at.w[0].tolist(),
        "heads": heads.tolist(),
        "frame": frame.tolist(),
    }
