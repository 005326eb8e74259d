"""Adapters that ship: each conforms in both precisions where its library is installed, and does not with a mistake that
its library invites; ``metarep adapter`` writes it, and README shows how it is installed and run.
"""

import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from metarep.reports import adapters
from metarep.reports.adapters import Shipped, shipped
from metarep.reports.cli.app import run
from metarep.sim.foreign.adapter import load_adapter
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.foreign.process import ENVIRONMENT
from metarep.sim.implementations import Implementation
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.engine import Profile
from metarep.theory.engine.foreign.checking import MAX_EXAMPLES, Status, check_claim, check_implementation
from metarep.theory.engine.foreign.forms import claims_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("\n## Does my implementation do what the theory says?\n")[1].split("\n## ")[0]
SHIPPED = shipped()
UPDATES = tuple(claim for claim in catalogue() if claim.id.startswith("update-"))
SINGLE = {"float64": "float32", 'x64", True': 'x64", False'}
"""What makes each of them compute in float32."""
MISTAKES = {
    "autograd": ("/ len(tasks)", "/ 1", "update-average-loss"),
    "torch": ("create_graph=not learner.first_order", "create_graph=False", "update-anil"),
    "torch.func": ("g.detach() if learner.first_order else g", "g", "update-fo-maml"),
    "learn2learn": ("lr=alpha, first_order=learner.first_order", "lr=alpha", "update-fo-anil"),
    "higher": ("copy_initial_weights=False", "copy_initial_weights=True", "update-average-loss"),
    "torchopt": ("for each, state in begun:", "for each, state in begun[1:]:", "update-maml"),
    "jax": ('if learner.adapts == "both" else "stay"', 'if learner.adapts else "stay"', "update-anil"),
}
"""What a user of each library may get wrong, and a claim that refutes it."""


FAST = """
supported = {"average-loss"}


def step(learner, B, w, targets, alpha, beta):
    residual = B @ w - targets.mean(1)
    return B - beta * residual[:, None] * w, w - beta * B.T @ residual
"""


@pytest.fixture
def adapted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Implementation]:
    """The implementation of an adapter with what is changed in it, in this process: importing takes seconds."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def made(adapter: Shipped, changes: dict[str, str]) -> Implementation:
        if adapter.missing:
            pytest.skip(f"{', '.join(adapter.missing)} not installed: {adapter.words[1]}")
        source = adapter.source
        for old, new in changes.items():
            source = source.replace(old, new)
        assert source != adapter.source or not changes
        path = tmp_path / "adapter.py"
        path.write_text(source, encoding="utf-8")
        return foreign_implementation(load_adapter(str(path)))

    return made


@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, each) for name in SHIPPED for each in ("float64", "float32") if name != "autograd"]
    + [("autograd", "float64")],
)
def test_shipped_adapters_conform(
    name: str, precision: str, adapted: Callable[..., Implementation], profile: Profile
) -> None:
    """On the updates; on every claim in the thorough profile."""
    changes = SINGLE if precision == "float32" else {}
    thorough = profile.name == "thorough"
    implementation = adapted(SHIPPED[name], changes)
    assert implementation.eps == 2.0 ** (-23 if changes else -52)
    claims, examples = (catalogue(), MAX_EXAMPLES) if thorough else (UPDATES, 2)
    result = check_implementation(implementation, claims, max_examples=examples)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]
    assert {claim.id for claim in UPDATES} <= {item.claim.id for item in result.of(Status.PASSED)}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_mistake_that_a_library_invites_is_found(name: str, adapted: Callable[..., Implementation]) -> None:
    old, new, claim = MISTAKES[name]
    wrong = adapted(SHIPPED[name], {old: new})
    assert check_claim(get_claim(claim), wrong, max_examples=2, most_shrinks=0).status == Status.FAILED


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "autograd"])
def test_they_take_as_many_inner_steps_as_they_declare(name: str, adapted: Callable[..., Implementation]) -> None:
    first = "\n\n\ndef "
    implementation = adapted(SHIPPED[name], {first: f"\ninner_steps = 2{first}"})
    claims = [claim for claim in claims_of(implementation) if "step" in claim.exercises]
    result = check_implementation(implementation, claims, max_examples=2)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]
    assert len(result.of(Status.PASSED)) == len(claims) == 4


def test_shipped_adapters_are_short_and_their_extras_hold_what_they_import() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for name, adapter in SHIPPED.items():
        assert len(adapter.source.splitlines()) < 40, name
        extra = re.search(r"metarep\[(.+?)\]", adapter.words[1])
        if extra:
            wanted = {re.split("[>=]", each)[0] for each in extras[extra[1]]} | {"learn2learn"}
            assert {part for part in adapter.imports if part not in sys.stdlib_module_names} <= wanted, name


# --- the command


def test_it_is_written_and_not_over_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], complaint: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["adapter", "Torch.Func"]) == 0
    written = Path("metarep_adapter.py")
    assert written.read_text(encoding="utf-8") == SHIPPED["torch.func"].source
    said = capsys.readouterr().out
    assert said.startswith("metarep_adapter.py written: grad of ")
    assert said.endswith("next: metarep check metarep_adapter.py --quick\n")
    assert "is there already; allowed: another --out, or --force" in complaint("adapter", "jax")
    assert written.read_text(encoding="utf-8") == SHIPPED["torch.func"].source
    assert run(["adapter", "jax", "--force"]) == 0
    assert capsys.readouterr().out.startswith("metarep_adapter.py overwritten: ")
    assert written.read_text(encoding="utf-8") == SHIPPED["jax"].source
    assert "it is a folder" in complaint("adapter", "jax", "--out", tmp_path, "--force")


@pytest.mark.parametrize(
    ("said", "meant"), [("pytorch", "torch or torchopt"), ("learn2lern", "learn2learn"), ("optax", "jax")]
)
def test_did_you_mean(said: str, meant: str, complaint: Callable[..., str]) -> None:
    assert f"unknown library '{said}' (did you mean {meant}?); allowed: autograd, " in complaint("adapter", said)


def test_other_names_and_none(complaint: Callable[..., str]) -> None:
    for words in (["adapter"], ["adapter", ""], ["adapter", "nothing like it"]):
        assert f"; allowed: {', '.join(SHIPPED)}\n" in complaint(*words)


def test_the_list_says_what_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda name: None if name in ("jax", "optax") else name)
    assert run(["adapter", "--list"]) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(listed) == list(SHIPPED)
    assert listed["jax"].endswith("(jax, optax not installed: pip install 'metarep[jax]')")
    assert all("not installed" not in line for name, line in listed.items() if name != "jax")


# --- README


def test_readme_shows_the_first_as_it_is_written() -> None:
    first = re.search(r"```python\n# metarep_adapter.py\n(.*?)```", SECTION, re.DOTALL)
    assert first
    assert SHIPPED["torch"].source.partition('"""\n\n')[2] == first[1]
    rows = re.findall(r"^\| .+ \| `metarep adapter (\S+)` \| (.+) \|$", SECTION, re.MULTILINE)
    assert {name for name, _ in rows} == set(SHIPPED)
    for name, install in rows:
        assert install.replace("`", "").startswith(SHIPPED[name].words[1].partition(",")[0].removeprefix("it ")), name


@pytest.mark.thorough
def test_readmes_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the shell and of the workflow, on an adapter that is fast."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for path in (Path("metarep_adapter.py"), Path("tests/metarep_adapter.py")):
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAST, encoding="utf-8")
    lines = re.findall(r"^(?:      - run: )?(metarep check .*?)(?:  +#.*)?$", SECTION, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        fewer = [] if "--list" in line else ["--examples", "1"]
        assert run([*shlex.split(line)[1:], *fewer]) == 0, line
    assert Path("metarep.xml").is_file()
