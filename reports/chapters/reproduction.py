"""The chapter on how to get the report again: command, versions, times."""

import shlex

from metarep.reports.chapters.chapter import Chapter, Results, Run
from metarep.reports.page import blocks as b


def reproduction_section(results: Results) -> b.Section:
    """Versions, seed, commands; the only place that tells when and how long."""
    run = results.run
    slowest = sorted(run.jobs.items(), key=lambda item: -item[1])[:10]
    own = f" --claims {shlex.quote(results.own_claims)}" if results.own_claims else ""
    own += "".join(f" --only {shlex.quote(each)}" for each in results.only)
    cached = f" {len(run.cached)} of {len(run.jobs)} results are from cache: an earlier report's." if run.cached else ""
    blocks = (
        b.Code(f"metarep report --profile {results.profile.name} --seed {results.seed} --out out{own}"),
        b.Paragraph(
            f"All randomness comes from the seed {results.seed}; equal seeds, profiles and versions give equal "
            "reports but for this section's times. Each claim, table and figure above ends with the command that makes "
            "it again."
        ),
        b.Table(("package", "version"), tuple(results.versions.items())),
        b.Paragraph(f"Made at {run.at} in {run.seconds:.0f} s.{cached}"),
        b.Details(
            "What took longest",
            (b.Table(("job", "seconds"), tuple((f"`{k}`", f"{v:.1f}") for k, v in slowest), frozenset({1})),),
        ),
    )
    return b.Section("reproduction", "How to get it again", blocks)


def run_of(results: Results) -> Run:
    """When and how long: all that differs between equal runs."""
    return results.run


CHAPTER = Chapter(reproduction_section, record={"run": run_of})
