"""Claims certified: a PROVED claim's identities as a Coq file, compiled, and what came of it said as a seal."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from metarep.theory.calculus.words import Poly
from metarep.theory.certificates.coq import HEADER, derivative, equation
from metarep.theory.certificates.degrees import instead_of_facts
from metarep.theory.certificates.terms import CannotExportError, Derivative
from metarep.theory.claims.record import Claim
from metarep.theory.inequalities.core import Checked

LIBRARY = "WordCalculus.v"
LONGEST = 600
"""Seconds that one file may take to compile."""

Status = Literal["checked", "failed", "not exported", "no coqc"]


@dataclass(frozen=True)
class Certificate:
    """A claim as Coq: the file's text, the identities in it, and what of the proof is not in it, with the reason."""

    claim: str
    text: str
    identities: tuple[str, ...]
    left_out: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True)
class Seal:
    """What became of a claim's certificate.

    ``status``: checked by Coq (all identities in the file), failed (it does not compile), not exported, or no coqc
    (written, not compiled). ``left_out`` is what of the proof Coq has not seen.
    """

    claim: str
    status: Status
    why: str = ""
    version: str = ""
    seconds: float = 0.0
    identities: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    file: str = ""

    def line(self) -> str:
        """The seal in a sentence."""
        if self.status == "checked":
            counted = "1 identity" if len(self.identities) == 1 else f"{len(self.identities)} identities"
            rest = f"; not in it: {len(self.left_out)} of another kind" if self.left_out else ""
            return f"checked by Coq {self.version}, {counted}, {self.seconds:.1f} s{rest}"
        said = {"failed": "does not compile", "not exported": "cannot be exported", "no coqc": "coqc is not installed"}
        return said[self.status] + (f": {self.why}" if self.why else "")


def export(claim: Claim) -> Certificate:
    """The Coq file of a claim's proof: every comparison that has a form, and the derivatives whose words it uses.

    ``text`` is empty where nothing can be exported; ``why`` says the reason.
    """
    if claim.proof is None:
        return Certificate(claim.id, "", (), (), "it has no proof in words")
    proof = claim.proof()
    if isinstance(proof, Checked):
        return Certificate(
            claim.id, "", (), (), "its proof is a derivation of inequalities, which only the core checks"
        )
    if not proof.complete:
        return Certificate(
            claim.id, "", (), (), "its proof has steps by hand" if proof.holds else "its proof does not hold"
        )
    return export_identities(claim.id, [*proof.identities, *instead_of_facts(claim.id)], proof.facts)


def export_identities(
    claim_id: str, identities: Iterable[tuple[str, Poly, Poly]], facts: Iterable[str] = ()
) -> Certificate:
    """``export`` of given comparisons (what, left, right); facts are what a proof decided otherwise."""
    theorems, names, left_out = [], [], [f"decided by looking at the words: {fact}" for fact in facts]
    waiting: list[Derivative] = []
    for number, (what, left, right) in enumerate(identities, 1):
        try:
            theorem, used = equation(f"identity_{number}", what, left, right)
            more = _derivatives(used, waiting)
            if theorem.left == theorem.right:
                left_out.append(f"{what}: both sides are the same expression")
                continue
            new = [derivative(f"derivative_{len(waiting) + i}", found)[0].text() for i, found in enumerate(more, 1)]
        except CannotExportError as error:
            left_out.append(f"{what}: {error}")
            continue
        if bare := theorem.graph.bare:
            left_out.append(f"{what}: how expressions of {', '.join(str(len(x)) for x in bare)} words were found")
        waiting += more
        theorems += [*new, theorem.text()]
        names += [*(f"derivative: {found.name or 'along directions'}" for found in more), what]
    if not theorems:
        return Certificate(claim_id, "", (), tuple(left_out), left_out[0] if left_out else "nothing is compared")
    return Certificate(claim_id, "\n".join([HEADER, *theorems]), tuple(names), tuple(left_out))


def _derivatives(used: list[Derivative], known: list[Derivative]) -> list[Derivative]:
    """Those used that are not known yet, and those that saying so uses."""
    found: list[Derivative] = []
    stack = list(used)
    while stack:
        new = stack.pop()
        if all(old.result is not new.result for old in (*known, *found)):
            found.append(new)
            stack += derivative("d", new)[1]
    return found


# --- Coq


def coq_version() -> str:
    """The version of ``coqc`` where it and MathComp's algebra are installed; "" otherwise."""
    if shutil.which("coqc") is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.v"
        probe.write_text("From mathcomp Require Import all_ssreflect all_algebra.\n")
        if subprocess.run(["coqc", "-q", "-w", "none", str(probe)], capture_output=True, check=False).returncode:
            return ""
    said = subprocess.run(["coqc", "--print-version"], capture_output=True, text=True, check=True).stdout
    return said.split()[0]


def compiled(file: Path) -> tuple[str, float]:
    """Compile a file in its folder: what is wrong with it ("" if nothing), and the seconds that it took."""
    started = time.perf_counter()
    command = ["coqc", "-q", "-w", "none", "-R", str(file.parent), "", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return f"not done after {LONGEST} s", time.perf_counter() - started
    wrong = "" if done.returncode == 0 else " ".join((done.stderr or done.stdout).split())[-300:] or "coqc failed"
    return wrong, time.perf_counter() - started


def library_text() -> str:
    """The Coq library that every claim's file requires."""
    return files("metarep.theory.certificates").joinpath(LIBRARY).read_text(encoding="utf-8")


def file_name(claim_id: str) -> str:
    """The file of a claim: its id as a Coq module's name."""
    return claim_id.replace("-", "_") + ".v"


def certify(
    claims: Iterable[Claim], out: Path, write: Callable[[Path, str], object] | None = None, jobs: int | None = None
) -> Iterator[Seal]:
    """Write the claims' certificates into ``out``, compile them where Coq is installed, and yield a seal for each.

    Args:
        claims: whose.
        out: an existing folder.
        write: writes a text to a path; ``Path.write_text`` unless given.
        jobs: compilations at a time; as many as there are processors unless given.

    Raises:
        RuntimeError: the library does not compile.
    """
    write = write or (lambda path, text: path.write_text(text, encoding="utf-8"))
    write(out / LIBRARY, library_text())
    version = coq_version()
    if version and (wrong := compiled(out / LIBRARY)[0]):
        raise RuntimeError(f"{LIBRARY} does not compile: {wrong}")

    def seal(certificate: Certificate, path: Path) -> Seal:
        wrong, seconds = compiled(path) if version else ("", 0.0)
        status: Status = "no coqc" if not version else "failed" if wrong else "checked"
        return Seal(
            certificate.claim, status, wrong, version, seconds, certificate.identities, certificate.left_out, path.name
        )

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        waiting = []
        for claim in claims:
            certificate = export(claim)
            if not certificate.text:
                waiting.append(Seal(claim.id, "not exported", certificate.why, left_out=certificate.left_out))
                continue
            path = out / file_name(claim.id)
            write(path, certificate.text)
            waiting.append(pool.submit(seal, certificate, path))
        for item in waiting:
            yield item if isinstance(item, Seal) else item.result()
