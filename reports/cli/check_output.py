"""What ``metarep check`` says: as lines, as data, as JUnit XML, as annotations of GitHub Actions."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from metarep.reports.page.markup import inline_text

if TYPE_CHECKING:
    from metarep.sim.foreign.adapter import Declared
    from metarep.theory.engine.foreign.checking import CheckedClaim, CheckResult, Status

MOST_ANNOTATIONS = 10
"""GitHub shows so many errors of a step."""


MOST_IDS = 6
"""Of claims that are not told of one by one."""
LONGEST = 2000
"""Characters of an example in a line of Python."""


def _checked_as(result: "CheckResult") -> str:
    return f"checked as {precision(result)}"


def precision(result: "CheckResult") -> str:
    """What the implementation was taken to compute in."""
    return "float32" if result.implementation.eps > 2.0**-40 else "float64"


# --- as data


def check_record(declared: "Declared", result: "CheckResult") -> dict[str, Any]:
    """The result of a check as data: verdict, cause, and one record per claim."""
    from metarep.theory.engine.foreign.checking import Status

    diagnosis = result.diagnosis
    cause = None if diagnosis is None else diagnosis.cause
    return {
        "target": declared.target,
        "path": declared.path,
        "precision": precision(result),
        "supported": sorted(declared.supported),
        "conventions": vars(declared.conventions),
        "conforming": result.conforming,
        "counts": {status.value: len(result.of(status)) for status in Status},
        "roots": [item.claim.id for item in result.roots],
        "cause": None if cause is None else {"id": cause.id, "learner": cause.learner, "factor": cause.factor},
        "explanation": None if diagnosis is None else diagnosis.explanation,
        "claims": [_claim_record(item) for item in result.claims],
    }


def _claim_record(item: "CheckedClaim") -> dict[str, Any]:
    from metarep.theory.engine import encode

    claim, evidence = item.claim, item.evidence
    return {
        "id": claim.id,
        "chapter": claim.chapter,
        "statement": claim.statement,
        "source": str(claim.source),
        "learners": list(claim.learners),
        "status": item.status.value,
        "why": item.why,
        "examples": item.examples,
        "independent": item.independent,
        "left_out": item.left_out,
        "hurried": item.hurried,
        "cut": item.cut,
        "blunt": 0 if evidence is None else evidence.blunt,
        "steps": item.steps,
        "worst_margin": None if evidence is None else evidence.worst_margin,
        "strain": None if evidence is None else evidence.strain,
        "counterexample": None if item.counterexample is None else encode(dict(item.counterexample)),
    }


# --- as lines


def lines(declared: "Declared", result: "CheckResult", own: Path | None = None) -> list[str]:
    """What a person reads: where it does not conform the cause first, and of the failures those alone that do not
    follow from another. ``own``: the file of claims of one's own, if there is one.
    """
    from metarep.theory.engine import counted
    from metarep.theory.engine.foreign.checking import Status

    shown, found = declared.shown, [f"{declared.shown}: {', '.join(sorted(declared.supported))}; {_checked_as(result)}"]
    given = f" with {declared.conventions}" if str(declared.conventions) else ""
    verdict = f"{shown} {'conforms' if result.conforming else 'does not conform'}{given}."
    roots = result.roots
    told = roots if roots else result.of(Status.PASSED)
    if roots:
        found += [verdict, *_cause(result)]
    chapter = None
    for item in (*told, *result.of(Status.CLAIM_AT_FAULT)):
        if item.claim.chapter != chapter:
            chapter = item.claim.chapter
            found += ["", chapter]
        found.append(f"  {item.status.value}  {item.claim.id} ({', '.join([counted(item), *_left_out(item)])})")
        if item.status is not Status.PASSED:
            found += wrap(inline_text(item.claim.statement), 110, initial_indent=" " * 10, subsequent_indent=" " * 10)
            found += [f"          {line}" for line in (*_failure(item), *_again(declared, item, own))]
    rest = [item.claim.id for item in result.of(Status.FAILED) if item not in roots]
    if rest:
        some = ", ".join(rest[:MOST_IDS]) + (", …" if len(rest) > MOST_IDS else "")
        found += ["", f"{len(rest)} more FAILED, which follow from that: {some} (--json has all)"]
    for status in (Status.NOT_RUN,) if roots else (Status.NOT_APPLICABLE, Status.NOT_RUN):
        reasons = Counter(item.why for item in result.of(status))
        found += ["", *(f"{count} {status.value}: {why}" for why, count in reasons.items())] if reasons else []
    counts = ", ".join(f"{len(result.of(status))} {status.value}" for status in Status if _counted(result, status))
    found += ["", f"{len(result.claims)} claims: {counts}; {result.seconds:.0f} s"]
    if at_fault := result.of(Status.CLAIM_AT_FAULT):
        found.append(f"At fault, as the reference fails them too: {', '.join(item.claim.id for item in at_fault)}.")
    return [*found, verdict]


def _counted(result: "CheckResult", status: "Status") -> bool:
    return status.value != "CLAIM_AT_FAULT" or bool(result.of(status))


def _again(declared: "Declared", item: "CheckedClaim", own: Path | None) -> Iterator[str]:
    """Lines that run it again: the claim, and its counterexample alone."""
    from metarep.theory.claims import catalogue
    from metarep.theory.engine import encode

    known = item.claim.id in {each.id for each in catalogue()}
    claims = "" if known or own is None else f" --claims {shlex.quote(str(own))}"
    yield f"to run it again: metarep check {shlex.quote(declared.target)}{claims} --only {item.claim.id}"
    drawn = repr(encode(dict(item.counterexample or {})))
    if item.counterexample is None or len(drawn) > LONGEST or not known:
        return
    yield "or, in Python, there alone:"
    yield "    from metarep.sim.foreign.adapter import load_adapter"
    yield "    from metarep.sim.foreign.implementation import foreign_implementation"
    yield "    from metarep.theory.engine import replay"
    yield f"    mine = foreign_implementation(load_adapter({declared.target!r}))"
    yield f"    print(replay({item.claim.id!r}, {drawn}, mine))"


def _left_out(item: "CheckedClaim") -> Iterator[str]:
    """What was not tried, or says nothing."""
    if item.left_out:
        yield f"{item.left_out} left out: too many steps"
    if item.hurried:
        yield "no more in time"
    elif item.cut:
        yield "no more: they take many steps"
    if item.evidence is not None and item.evidence.blunt:
        yield f"{item.evidence.blunt} of no use: rounding errors hide what is compared"


def _failure(item: "CheckedClaim") -> tuple[str, ...]:
    """What was compared, and where."""
    return item.why, *item.counterexample_lines()


def _cause(result: "CheckResult") -> tuple[str, ...]:
    from metarep.theory.engine.foreign.laws import factor_text

    if result.diagnosis is None:
        return ()
    cause = result.diagnosis.cause
    if cause is None:
        return (f"Cause not found: {result.diagnosis.explanation}",)
    factor = "" if cause.factor is None else f" (factor {factor_text(cause.factor)})"
    return (f"Likely cause: {cause.id}{factor}; {result.diagnosis.explanation}",)


# --- for continuous integration


def junit(name: str, items: "Iterable[CheckedClaim]", error: str = "") -> str:
    """JUnit XML: a test case for each claim, and one for the adapter if there was an error with it.

    Args:
        name: of the suite.
        items: the claims.
        error: why the adapter cannot be used.
    """
    from metarep.theory.engine.foreign.checking import Status

    suite = ElementTree.Element("testsuite", name=_xml(f"metarep check {name}"))
    counts = Counter[str]()

    def case(classname: str, name: str, seconds: float) -> ElementTree.Element:
        counts["tests"] += 1
        attributes = {"classname": _xml(classname), "name": _xml(name), "time": f"{seconds:.3f}"}
        return ElementTree.SubElement(suite, "testcase", attributes)

    def outcome(case: ElementTree.Element, kind: str, message: str, text: str = "") -> None:
        counts[{"failure": "failures", "error": "errors", "skipped": "skipped"}[kind]] += 1
        ElementTree.SubElement(case, kind, message=_xml(message)).text = _xml(text) or None

    total = 0.0
    for item in items:
        of_claim = case(item.claim.chapter, item.claim.id, item.seconds)
        total += item.seconds
        if item.status in (Status.FAILED, Status.CLAIM_AT_FAULT):
            outcome(of_claim, "failure", item.why, "\n".join((inline_text(item.claim.statement), *_failure(item))))
        elif item.status is not Status.PASSED:
            outcome(of_claim, "skipped", item.why)
    if error:
        outcome(case("adapter", name, 0.0), "error", error)
    for kind in ("tests", "failures", "errors", "skipped"):
        suite.set(kind, str(counts[kind]))
    suite.set("time", f"{total:.3f}")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Text without what XML cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text)


def annotations(declared: "Declared", result: "CheckResult") -> list[str]:
    """An error for each claim that fails, at the adapter's step; the cause comes first."""
    from metarep.theory.engine.foreign.checking import Status

    failed, (file, line) = result.of(Status.FAILED), (declared.shown, declared.line)
    found = [_annotation(file, line, "does not conform", cause) for cause in _cause(result)]
    for item in failed[: MOST_ANNOTATIONS - len(found)]:
        text = "\n".join((inline_text(item.claim.statement), *_failure(item)))
        found.append(_annotation(file, line, f"{item.claim.id} fails", text))
    return found


def annotation_of_error(error: str) -> str:
    """That the adapter cannot be used, where the error says."""
    where = re.match(r"(.+?):(\d+): ", error)
    file, line = (where[1], int(where[2])) if where else ("", 1)
    return _annotation(file, line, "cannot be used", error[where.end() :] if where else error)


def _annotation(file: str, line: int, title: str, message: str) -> str:
    def escaped(text: str, more: Sequence[str] = ()) -> str:
        return "".join(f"%{ord(letter):02X}" if letter in ("%", "\r", "\n", *more) else letter for letter in text)

    at = f"file={escaped(file, ':,')},line={line}," if file else ""
    return f"::error {at}title={escaped(f'metarep check: {title}', ':,')}::{escaped(message)}"
