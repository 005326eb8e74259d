"""How a claim is written: a function that knows it, under its statement.

    claim = Chapter("Structure of a step")

    @claim(PROVED, each=LEARNERS, draws=outer_steps, exercises="step", proof=_factor_proof, examples=24)
    def right_factor(example, implementation, learner):
        r\"""One step of «title» multiplies the part of $B$ off the truth from the right: $...$.

        Given: any $d > k$, $B$, $w$, heads.

        $N$ is $k \\times k$ and the same in every ambient dimension.
        \"""
        return same(...)

A claim that is proved may give ``derivation=`` in the place of ``proof=``: it returns what the core of
``theory.inequalities`` says of a finished derivation.

The docstring's first paragraph is the statement, the one that begins with "Given:" the hypotheses, the others the
remark. The function's name is the claim's id. What it is, its first parameter says: ``proof`` (it fills a ``Proof``),
``example`` (a check), ``implementation`` (a measurement). A check that makes several comparisons yields them: the one
that uses most of its tolerance counts.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any

from metarep.sim.learners import LEARNERS
from metarep.theory.calculus.proofs import Proof
from metarep.theory.claims import strategies
from metarep.theory.claims.comparing import most_strained
from metarep.theory.claims.record import Claim, Comparison, Exercise, Kind, Source, Verdict, own

TITLES = {
    "anil": "Exact ANIL",
    "fo-anil": "FO-ANIL",
    "maml": "Exact MAML",
    "fo-maml": "FO-MAML",
    "average-loss": "average loss",
}
"""How each learner is called in sentences."""

Words = Mapping[str, Any]
Function = Callable[..., Any]


def _filled(text: str, words: Words) -> str:
    """A text with its «words» filled in, on one line."""
    return " ".join(re.sub(r"«([^»]+)»", lambda found: str(words[found[1]]), text).split())


def _statement_parts(docstring: str | None, words: Words) -> tuple[str, str, str]:
    """(statement, hypotheses, remark) of a docstring, one line each, with its «words» filled in."""
    statement, *others = (_filled(part, words) for part in re.split(r"\n\s*\n", inspect.cleandoc(docstring or "")))
    given = [part.removeprefix("Given:").strip() for part in others if part.startswith("Given:")]
    return statement, " ".join(given), " ".join(part for part in others if not part.startswith("Given:"))


def _proved(prove: Function, **variant: Any) -> Proof:
    proof = Proof()
    prove(proof, **variant)
    return proof


def _check(function: Function) -> Function:
    """The check of a function that returns a comparison, or yields several."""
    if not inspect.isgeneratorfunction(function):
        return function

    @wraps(function)
    def worst(*at: Any, **named: Any) -> Comparison:
        return most_strained(function(*at, **named))

    return worst


class Chapter:
    """A chapter of the catalogue: calling it makes a decorator that adds a claim to those of the function's module.

    Args:
        title: as a reader sees it.
        words: values of «words» that its docstrings share.
    """

    def __init__(self, title: str, words: Words | None = None) -> None:
        self.title = title
        self.words = words or {}
        self._by_module: dict[str, tuple[Claim, ...]] = {}

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Those added so far, of a chapter in several modules in the order in which these were imported."""
        return tuple(claim for claims in self._by_module.values() for claim in claims)

    def claims_of(self, module: str) -> tuple[Claim, ...]:
        """Those that the functions of the module of that name know."""
        return self._by_module.get(module, ())

    def __call__(
        self,
        expected: Verdict,
        *,
        id: str = "",
        source: Source | Mapping[str, Source] | None = None,
        kind: Kind | None = None,
        given: str = "",
        each: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
        words: Words | Callable[..., Words] | None = None,
        exercises: Exercise | Iterable[Exercise] = (),
        learners: Iterable[str] = (),
        rests_on: str | Iterable[str] = (),
        draws: Function | None = None,
        floats: Function | None = None,
        fractions: Function | None = None,
        proof: Function | None = None,
        derivation: Function | None = None,
        seeded_as: str = "",
        confirm: Function | None = None,
        examples: int = 60,
        at_any_pace: str | Mapping[str, str] = "",
        any_inner_steps: bool = False,
    ) -> Callable[[Function], Function]:
        """A decorator that adds the claim that its function knows; the function comes back unchanged.

        Args:
            expected: the verdict that would be no news.
            id: the claim's, with «words» to be filled in, where it is not the function's name and the suffix.
            source: the paper's statement that it is or is about; by variant where they differ.
            kind: an identity unless given; a measurement's is known.
            given: the hypotheses, where the docstring does not have them (several claims share them).
            each: a claim for each: learners' ids (the functions get the spec as ``learner``), or, by suffix of the id,
                the keyword arguments that the functions get.
            words: values of the «words» of the docstring, or a function of the variant's arguments that gives them.
                «name» (the suffix) and «title» (how the learner is called in sentences) are always there.
            exercises: what of an implementation the check uses.
            learners: whom it speaks of; with learners as variants, the variant.
            rests_on: ids of the claims it uses; «words» are filled in.
            draws: a function of the kind of number (``strategies.floats`` or ``strategies.fractions``) that gives the
                strategy of examples of either kind. One that takes the variant's arguments gets these too.
            floats, fractions: functions without arguments (but the variant's) that give the strategy of one kind only.
            proof: fills a ``Proof``, beside a check; gets the variant's arguments.
            derivation: returns a ``Checked``, beside a check, in the place of ``proof``; gets the variant's arguments.
            confirm: as in ``Claim``; gets the variant's arguments.
            seeded_as, examples, any_inner_steps, at_any_pace: as in ``Claim``; the last by variant where it is said of
                some only.

        Raises:
            ValueError: the function's first parameter says nothing of what it is, there are a proof and a derivation,
                or the record is refused.
        """

        def add(function: Function) -> Function:
            variants: Mapping[str, Mapping[str, Any]]
            if each is None:
                variants = {"": {}}
            elif isinstance(each, Mapping) and all(isinstance(variant, Mapping) for variant in each.values()):
                variants = each
            else:
                variants = {name: {"learner": LEARNERS[name]} for name in each}
            added = tuple(one(function, suffix, variant) for suffix, variant in variants.items())
            self._by_module[function.__module__] = self.claims_of(function.__module__) + added
            return function

        def one(function: Function, suffix: str, variant: Mapping[str, Any]) -> Claim:
            learner = variant.get("learner")
            given_words = words(**variant) if callable(words) else words or {}
            known: dict[str, Any] = {"name": suffix, "title": learner and TITLES.get(learner.name)}
            known |= {**self.words, **given_words}
            statement, hypotheses, remark = _statement_parts(function.__doc__, known)
            role = next(iter(inspect.signature(function).parameters), "")
            if role not in ("proof", "example", "implementation"):
                raise ValueError(
                    f"{function.__name__} begins with {role!r}; allowed: proof (a proof), example (a check), "
                    "implementation (a measurement)"
                )
            known_by = _check(function)
            bound = partial(known_by, **variant) if variant else known_by
            prove = function if role == "proof" else proof
            if prove and derivation:
                raise ValueError(f"{function.__name__} has a proof and a derivation; allowed: one of them")
            by_kind: dict[str, Function | None] = {
                "floats": _strategy(floats, variant) or _strategy(draws, variant, strategies.floats),
                "fractions": _strategy(fractions, variant) or _strategy(draws, variant, strategies.fractions),
            }
            return Claim(
                id=_filled(id, known)
                or "-".join(filter(None, (function.__name__.strip("_").replace("_", "-"), suffix))),
                chapter=self.title,
                statement=statement,
                source=(source[suffix] if isinstance(source, Mapping) else source) or own(),
                hypotheses=hypotheses or _filled(given, known),
                expected=expected,
                kind=kind or ("measurement" if role == "implementation" else "identity"),
                learners=tuple(learners) or ((learner.name,) if learner else ()),
                exercises=frozenset((exercises,) if isinstance(exercises, str) else exercises),
                rests_on=tuple(
                    _filled(base, known) for base in ((rests_on,) if isinstance(rests_on, str) else rests_on)
                ),
                proof=partial(_proved, prove, **variant) if prove else derivation and partial(derivation, **variant),
                check=bound if role == "example" else None,
                measure=bound if role == "implementation" else None,
                seeded_as=seeded_as,
                confirm=partial(confirm, **variant) if confirm else None,
                examples=examples,
                at_any_pace=at_any_pace if isinstance(at_any_pace, str) else at_any_pace.get(suffix, ""),
                any_inner_steps=any_inner_steps,
                remark=remark,
                **by_kind,
            )

        return add


def _strategy(make: Function | None, variant: Mapping[str, Any], *numbers: Any) -> Function | None:
    """``make`` with the kind of numbers, and with the variant's arguments if it takes them."""
    if make is None:
        return None
    parameters = inspect.signature(make).parameters
    return partial(make, *numbers, **{name: value for name, value in variant.items() if name in parameters})
