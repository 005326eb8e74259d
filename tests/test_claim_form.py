"""How a claim is written: what becomes of a function, its docstring and its variants."""

from collections.abc import Iterator

import pytest

from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import LEARNERS
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.record import Comparison, Verdict
from metarep.theory.claims.strategies import outer_steps


def test_a_docstring_is_statement_hypotheses_and_remark() -> None:
    claim = Chapter("Mine")

    @claim(Verdict.SUPPORTED, id="«name»-first", each=("anil", "maml"), rests_on="update-«name»", floats=outer_steps)
    def unnamed(example, implementation, learner):
        """«title» does this.

        And more.

        Given: nothing of «name»
        """
        return Comparison(0, 0, 0, learner.name)

    first, second = claim.claims
    assert (first.id, second.id) == ("anil-first", "maml-first")
    assert (first.statement, first.hypotheses, first.remark) == (
        "Exact ANIL does this.",
        "nothing of anil",
        "And more.",
    )
    assert (second.chapter, second.learners, second.rests_on) == ("Mine", ("maml",), ("update-maml",))
    assert second.check is not None
    assert second.check({}, REFERENCE).why == "maml"


def test_of_several_comparisons_the_most_strained_counts() -> None:
    claim = Chapter("Mine")

    @claim(Verdict.SUPPORTED, floats=outer_steps)
    def any_of_two(example, implementation, *, excess: float = 0.5) -> Iterator[Comparison]:
        """Statement."""
        yield Comparison(excess, 0, 1.0, "first")
        yield Comparison(0.75, 0, 1.0, "second")

    check = claim.claims[0].check
    assert check is not None
    assert check({}, REFERENCE).why == "second"
    assert check({}, REFERENCE, excess=2.0).why == "first"  # type: ignore[call-arg]


def test_variants_by_suffix_hand_their_arguments_to_everything() -> None:
    claim = Chapter("Mine")
    variants = {"one": {"learner": LEARNERS["maml"], "size": 1}, "two": {"learner": LEARNERS["anil"], "size": 2}}
    proved = []

    @claim(Verdict.PROVED, each=variants, words=lambda learner, size: {"size": size}, examples=3)
    def sized(proof, learner, size):
        """Of size «size»."""
        proof.fact("it is", True)
        proved.append((learner.name, size))

    assert [(c.id, c.statement) for c in claim.claims] == [("sized-one", "Of size 1."), ("sized-two", "Of size 2.")]
    assert all(c.proof is not None and c.proof().holds for c in claim.claims)
    assert proved == [("maml", 1), ("anil", 2)]


def test_a_function_has_to_say_what_it_is() -> None:
    with pytest.raises(ValueError, match="begins with 'instance'"):
        Chapter("Mine")(Verdict.PROVED)(lambda instance: None)
