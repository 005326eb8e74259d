"""What changed since an older report: verdicts, margins, estimates, rates. Plain data, as the report's JSON has it."""

import math
from typing import Any

from metarep.reports.page import blocks as b

SAME = 1e-9
"""Numbers that differ by no more than this share are the same: another machine rounds otherwise."""
TINY = 1e-15
_NUMBERS = {"margins": ("worst_margin", SAME), "estimates": ("estimate", TINY)}
"""Kinds of change in a claim's evidence: the evidence's field, and what differs by less than which is the same (margins
are shares of the bound: those at its edge are rounding errors)."""
_RATES = ("symbolic", "empirical", "envelope")
_SETTING = ("d", "k", "n", "alpha", "beta")

Changes = dict[str, Any]


def changes(old: dict[str, Any], new: dict[str, Any]) -> Changes:
    """What differs between two reports' data, both as JSON has them; the same kind of list for each, with how many are
    alike.

    A claim that only one of them has is among the verdicts, with None for the other; numbers are compared where both
    have them.
    """
    verdicts, rates = [], []
    numbers: dict[str, list[dict[str, Any]]] = {what: [] for what in _NUMBERS}
    alike = {"verdicts": 0, **dict.fromkeys(_NUMBERS, 0), "rates": 0}
    before = {claim["id"]: claim for claim in old["claims"]}
    now = {claim["id"]: claim for claim in new["claims"]}
    for name in [*now, *(name for name in before if name not in now)]:
        was, is_now = (found[name]["status"] if name in found else None for found in (before, now))
        if was == is_now:
            alike["verdicts"] += 1
        else:
            verdicts.append({"claim": name, "before": was, "now": is_now})
        if name not in before or name not in now:
            continue
        for what, (field, least) in _NUMBERS.items():
            earlier = _numbers(before[name], field)
            for kind, number in _numbers(now[name], field).items():
                if kind not in earlier:
                    continue
                if _same(earlier[kind], number, least):
                    alike[what] += 1
                else:
                    numbers[what].append({"claim": name, "kind": kind, "before": earlier[kind], "now": number})
    old_rates = _by_setting(old)
    for key, record in _by_setting(new).items():
        for what in _RATES:
            if key in old_rates:
                was, is_now = old_rates[key].get(what), record.get(what)
                if _same(was, is_now):
                    alike["rates"] += 1
                else:
                    rates.append({**{name: record.get(name) for name in ("learner", *_SETTING)}, "what": what,
                                  "before": was, "now": is_now})  # fmt: skip
    return {
        "before": {name: old.get(name) for name in ("profile", "seed", "versions")},
        "verdicts": verdicts,
        **numbers,
        "rates": rates,
        "alike": alike,
    }


def _numbers(claim: dict[str, Any], field: str) -> dict[str, float]:
    return {item["kind"]: item[field] for item in claim["evidence"] if item.get(field) is not None and "kind" in item}


def _by_setting(report: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rates by learner and setting; where a setting comes twice (from two starts), by its place among its like."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in [*report.get("rates", ()), *report.get("rate_grid", ())]:
        key = tuple(record.get(name) for name in ("learner", *_SETTING))
        place = 0
        while (*key, place) in found:
            place += 1
        found[(*key, place)] = record
    return found


def _same(one: float | None, other: float | None, least: float = TINY) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=SAME, abs_tol=least)


def previous(found: Changes | None, claim_id: str) -> str | None:
    """What is to be said of one claim, in a line of the markup; None if nothing about it changed."""
    if found is None:
        return None
    parts = [
        "new" if item["before"] is None else f"[[{item['before']}]] became [[{item['now']}]]"
        for item in found["verdicts"]
        if item["claim"] == claim_id
    ]
    parts += [
        f"{name} ({item['kind']}) {item['before']:.4g} became {item['now']:.4g}"
        for what, name in (("margins", "worst margin"), ("estimates", "estimate"))
        for item in found[what]
        if item["claim"] == claim_id
    ]
    return "; ".join(parts) or None


def changed_line(found: Changes) -> str:
    """How much changed, in a line."""
    if not any(found[what] for what in found["alike"]):
        return f"nothing changed ({', '.join(f'{same} {what}' for what, same in found['alike'].items())})"
    return "; ".join(f"{what}: {len(found[what])} changed, {same} did not" for what, same in found["alike"].items())


def changes_section(found: Changes) -> b.Section:
    """The chapter on what changed."""
    before = found["before"]
    gone = {item["claim"] for item in found["verdicts"] if item["now"] is None}
    blocks: list[b.Block] = [
        b.Paragraph(
            f"Against a report of profile {before['profile']}, seed {before['seed']}, "
            f"metarep {(before['versions'] or {}).get('metarep', '?')}: {changed_line(found)}. Margins, "
            "estimates and fitted rates also change with the profile and the seed."
        )
    ]

    def link(claim: str) -> str:
        return f"`{claim}`" if claim in gone else f"[{claim}](#claim-{claim})"

    def badge(status: str | None, missing: str) -> str:
        return missing if status is None else f"[[{status}]]"

    if found["verdicts"]:
        rows = tuple(
            (link(item["claim"]), badge(item["before"], "not there"), badge(item["now"], "gone"))
            for item in found["verdicts"]
        )
        blocks.append(b.Table(("claim", "before", "now"), rows, caption="Verdicts that changed."))
    for what, title in (("margins", "Worst margins"), ("estimates", "Estimates")):
        if found[what]:
            rows = tuple(
                (link(item["claim"]), item["kind"], f"{item['before']:.6g}", f"{item['now']:.6g}")
                for item in found[what]
            )
            table = b.Table(("claim", "evidence", "before", "now"), rows, frozenset({2, 3}))
            blocks.append(b.Details(f"{title} that changed ({len(rows)})", (table,)))
    if found["rates"]:
        rows = tuple(
            (
                item["learner"],
                ", ".join(f"${_latex(name)} = {item[name]:g}$" for name in _SETTING if item[name] is not None),
                item["what"],
                *("none" if item[when] is None else f"{item[when]:.10g}" for when in ("before", "now")),
            )
            for item in found["rates"]
        )
        table = b.Table(("learner", "setting", "rate", "before", "now"), rows, frozenset({3, 4}))
        blocks.append(b.Details(f"Rates that changed ({len(rows)})", (table,)))
    return b.Section("changes", "What changed", tuple(blocks))


def _latex(name: str) -> str:
    return rf"\{name}" if name in ("alpha", "beta") else name
