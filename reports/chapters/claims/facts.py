"""What chapters ask of the claims' records: a link where the claim was run, what a measurement found."""

from typing import Any

Claims = list[dict[str, Any]]


def mention(claims: Claims, claim_id: str) -> str:
    """A link to a claim's section, or its bare name where this report did not run it."""
    return f"[{claim_id}](#claim-{claim_id})" if any(c["id"] == claim_id for c in claims) else f"`{claim_id}`"


def measured(claims: Claims, claim_id: str) -> dict[str, Any] | None:
    """The measurement's evidence record (estimate, uncertainty, why, details), or None where it was not run."""
    for claim in claims:
        if claim["id"] == claim_id:
            return next((item for item in claim["evidence"] if item["kind"] == "measurement"), None)
    return None
