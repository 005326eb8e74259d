"""Claims certified: each PROVED claim's file compiled by Coq, and what came of it said, and kept, as a seal."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from metarep.theory.certificates.export import LIBRARIES, Certificate, export, library_text
from metarep.theory.claims.record import Claim

LONGEST = 600
"""Seconds that one file may take to compile."""
SEAL = ".seal.json"
"""What the name of a claim's seal ends in, beside its Coq file."""

Status = Literal["checked", "failed", "not exported", "no coqc"]
Write = Callable[[Path, str], object]


@dataclass(frozen=True)
class Seal:
    """What became of a claim's certificate."""

    claim: str
    """The claim's id."""
    status: Status
    """Checked by Coq (all that is in the file); failed: it does not compile; not exported; no coqc: written, not
    compiled.
    """
    why: str = ""
    """Why it is not exported, or what Coq says against it."""
    version: str = ""
    """Of Coq."""
    seconds: float = 0.0
    """How long it took to compile."""
    identities: tuple[str, ...] = ()
    """The identities in the file."""
    bounds: tuple[str, ...] = ()
    """The polynomial inequalities in the file."""
    left_out: tuple[str, ...] = ()
    """What of the proof Coq has not seen."""
    file: str = ""
    """The Coq file; claims with the same proof have one."""
    digest: str = ""
    """The hash of all that Coq read."""

    def line(self) -> str:
        """The seal in a sentence."""
        rest = f": {self.why}" if self.why else ""
        match self.status:
            case "checked":
                return f"checked by Coq {self.version} in {self.seconds:.1f} s: {self.content()}"
            case "failed":
                return f"does not compile with Coq {self.version}{rest}"
            case "not exported":
                return f"cannot be exported{rest}"
        return f"written, and coqc is not installed: {self.content()}"

    def content(self) -> str:
        """What is in the file, and what is not."""
        parts = [
            f"{len(items)} {one if len(items) == 1 else many}"
            for items, one, many in (
                (self.identities, "identity", "identities"),
                (self.bounds, "polynomial inequality", "polynomial inequalities"),
            )
            if items
        ]
        return " and ".join(parts) + (f"; not in it: {_listed(self.left_out)}" if self.left_out else "")


SHOWN = 2
"""Things left out that are listed; of more, the others are counted."""


def _listed(items: tuple[str, ...]) -> str:
    more = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + more


# --- kept beside the Coq files


def file_name(claim_id: str) -> str:
    """The file of a claim: its id as a Coq module's name."""
    return claim_id.replace("-", "_") + ".v"


def _seal_path(folder: Path, claim_id: str) -> Path:
    return folder / file_name(claim_id).replace(".v", SEAL)


def read_seal(folder: Path, claim_id: str) -> Seal | None:
    """The seal that ``certify`` kept in a folder for a claim, None if there is none; whether it still holds is for its
    ``digest`` to say.

    Raises:
        ValueError: the file is none that ``certify`` wrote.
    """
    path = _seal_path(folder, claim_id)
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lists = {name: tuple(stored[name]) for name in ("identities", "bounds", "left_out")}
        seal = Seal(**{**stored, **lists})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no seal: {error}; allowed: what 'metarep certify' wrote") from error
    if seal.claim != claim_id:
        raise ValueError(f"{path} is a seal of {seal.claim!r}; allowed: what 'metarep certify' wrote")
    return seal


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


_RUNNING: set[subprocess.Popen[str]] = set()
"""The compilations under way."""


def compiled(file: Path) -> tuple[str, float]:
    """Compile a file in its folder: what is wrong with it ("" if nothing), and the seconds that it took."""
    started = time.perf_counter()
    command = ["coqc", "-q", "-w", "none", "-R", str(file.parent), "", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as coqc:
        _RUNNING.add(coqc)
        try:
            said, complaint = coqc.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            coqc.kill()
            return f"not done after {LONGEST} s", time.perf_counter() - started
        finally:
            _RUNNING.discard(coqc)
    wrong = "" if coqc.returncode == 0 else " ".join((complaint or said).split())[-300:] or "coqc failed"
    return wrong, time.perf_counter() - started


def _has(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def write_text(path: Path, text: str) -> None:
    """Write a text."""
    path.write_text(text, encoding="utf-8")


def make_libraries(out: Path, version: str = "", write: Write = write_text) -> None:
    """Write the Coq libraries into a folder; compile them with Coq of this version ("": do not), unless that is done.

    Raises:
        RuntimeError: one does not compile.
    """
    stands = True  # and so do those that it requires
    for name in LIBRARIES:
        path, note, text = out / name, out / f"{name}.version", library_text(name)
        stands = stands and _has(path, text) and path.with_suffix(".vo").is_file() and _has(note, version)
        if stands:
            continue
        write(path, text)
        if version:
            if wrong := compiled(path)[0]:
                raise RuntimeError(f"{name} does not compile with Coq {version}: {wrong}")
            write(note, version)


# --- all claims


def certify(
    claims: Iterable[Claim],
    out: Path,
    write: Write = write_text,
    jobs: int = -1,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> list[Seal]:
    """Write the claims' certificates into ``out``, compile them where Coq is installed, and keep a seal for each.

    Where the seal that is there still holds (of the same texts, by the same Coq), nothing is compiled.

    Args:
        claims: whose.
        out: an existing folder.
        write: writes a text to a path.
        jobs: compilations at a time; -1 for as many as there are cores.
        told: progress, (seals done, in all).

    Raises:
        RuntimeError: a library does not compile.
    """
    version = coq_version()
    make_libraries(out, version, write)
    certificates = [export(claim) for claim in claims]
    seals: dict[str, Seal] = {}
    waiting: dict[Future[Seal], list[Certificate]] = {}
    pool = ThreadPoolExecutor((os.cpu_count() or 1) if jobs == -1 else jobs)

    def keep(seal: Seal) -> None:
        seals[seal.claim] = seal
        write(_seal_path(out, seal.claim), json.dumps(asdict(seal), indent=2, ensure_ascii=False) + "\n")
        told(len(seals), len(certificates))

    try:
        for same in _by_text(certificates):
            first = same[0]
            if not first.text:
                keep(Seal(first.claim, "not exported", first.why, left_out=first.left_out))
                continue
            path = out / file_name(first.claim)
            old = _holding(out, first, version)
            if old is not None:
                for certificate in same:
                    keep(replace(old, claim=certificate.claim))
                continue
            write(path, first.text)
            waiting[pool.submit(_sealed, first, path, version)] = same
        for done in as_completed(waiting):
            for certificate in waiting[done]:
                keep(replace(done.result(), claim=certificate.claim))
    except BaseException:  # an interruption: nothing runs on
        for coqc in tuple(_RUNNING):
            coqc.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [seals[certificate.claim] for certificate in certificates]


def _by_text(certificates: list[Certificate]) -> Iterator[list[Certificate]]:
    """Those with the same text together, the longest texts first: no processor waits for one of them at the end."""
    groups: dict[str, list[Certificate]] = {}
    for certificate in certificates:
        groups.setdefault(certificate.text or certificate.claim, []).append(certificate)
    yield from sorted(groups.values(), key=lambda same: -len(same[0].text))


def _holding(out: Path, certificate: Certificate, version: str) -> Seal | None:
    """The kept seal of a certificate, if it is that of its text by this Coq."""
    try:
        seal = read_seal(out, certificate.claim)
    except ValueError:
        return None  # it is written anew
    wanted = "checked" if version else "no coqc"
    holds = seal is not None and (seal.status, seal.version, seal.digest) == (wanted, version, certificate.digest)
    return seal if holds and _has(out / file_name(certificate.claim), certificate.text) else None


def _sealed(certificate: Certificate, path: Path, version: str) -> Seal:
    wrong, seconds = compiled(path) if version else ("", 0.0)
    return Seal(
        certificate.claim,
        "no coqc" if not version else "failed" if wrong else "checked",
        wrong,
        version,
        seconds,
        certificate.identities,
        certificate.bounds,
        certificate.left_out,
        path.name,
        certificate.digest,
    )
