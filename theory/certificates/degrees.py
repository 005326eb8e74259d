"""What claims decide by looking at words, said as identities where it can be: degrees, and letters that drop out.

A polynomial has degree at most p in a letter X if putting cX for X gives Σ_j c^j P_j for j ≤ p, where the P_j are
written in words without c. That a letter drops out is shown by an equal expression in which it does not stand.
"""

from metarep.sim.learners import LEARNERS
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import Poly, find_letter, letter_poly
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.linearise import linearise

Identity = tuple[str, Poly, Poly]

ROTATION_FREE = (
    ("anil", False),
    ("anil", True),
    ("fo-anil", False),
    ("fo-anil", True),
    ("maml", False),
    ("fo-maml", False),
)


def by_degree(what: str, polynomial: Poly, name: str, most: int) -> Identity:
    """The polynomial at c times a letter, and the sum of its parts of degree j ≤ ``most`` in it, times c^j."""
    scaled = Poly(polynomial.shape)
    for j in range(most + 1):
        scaled = scaled + polynomial.part(lambda count, j=j: count(name) == j).scaled(c=j)
    at = {name: letter_poly(find_letter(name).code).scaled(c=1)}
    return (
        f"{what} at c {name}: the sum of its parts of degree j in it, times c^j, j up to {most}",
        polynomial.substitute(at),
        scaled,
    )


def _rotation() -> list[Identity]:
    # that S⁺, ω⁺ and Y⁺ are without A, the identities of span-rate-* and local-rate-* show
    found = []
    for name, head in ROTATION_FREE:
        linear = linearise(LEARNERS[name], head)
        where = f"{name}, {'any head' if head else 'w = 0'}"
        rest = linear.A.part(lambda count: count("A") == 0)
        found.append((f"A+ ({where}) is A and words without A", linear.A, a.A + rest))
    return found


def instead_of_facts(claim_id: str) -> list[Identity]:
    """Identities that say what a claim's proof decided by looking at words; none for most claims."""
    if claim_id == "rotation-neutral":
        return _rotation()
    name = claim_id.removeprefix("moments-")
    if name == claim_id or name not in LEARNERS:
        return []
    grads = task_gradients(LEARNERS[name])
    most = max(grad.degree("theta_i") for grad in grads)
    return [by_degree(what, grad, "theta_i", most) for what, grad in zip(("grad_B", "grad_w"), grads, strict=True)]
