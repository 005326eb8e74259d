"""Findings as the report's JSON has them: plain data, one record per claim."""

from typing import Any

from metarep.reports.page.output import plain
from metarep.theory.engine import Evidence, Finding, encode


def evidence_record(item: Evidence) -> dict[str, Any]:
    """One piece of evidence: kind, verdict, examples, worst_margin, instance, counterexample, and what explains
    them."""
    return plain(
        {
            "kind": item.kind,
            "verdict": item.verdict.value,
            "examples": item.examples,
            "worst_margin": item.worst_margin,
            "instance": None if item.instance is None else encode(dict(item.instance)),
            "counterexample": None if item.counterexample is None else encode(dict(item.counterexample)),
            "why": item.why,
            "strain": item.strain,
            "estimate": item.estimate,
            "uncertainty": item.uncertainty,
            "steps": list(item.steps),
            "details": encode(dict(item.details)),
        }
    )


def claim_record(finding: Finding, command: str = "") -> dict[str, Any]:
    """One claim: its statement and all that is known of it. Holds no timings, so that equal runs give equal records."""
    claim = finding.claim
    return {
        "id": claim.id,
        "chapter": claim.chapter,
        "statement": claim.statement,
        "source": str(claim.source),
        "from_paper": claim.source.kind == "paper",
        "hypotheses": claim.hypotheses,
        "kind": claim.kind,
        "learners": list(claim.learners),
        "rests_on": list(claim.rests_on),
        "remark": claim.remark,
        "status": finding.status.value,
        "expected": claim.expected.value,
        "as_expected": finding.as_expected,
        "evidence": [evidence_record(item) for item in finding.evidence],
        "command": command or f"metarep verify {claim.id}",
    }
