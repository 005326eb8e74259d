"""Breakages of the source, each of which a test must see: those of ``mutations.toml``, and a sample of mutmut's.

A broken module is imported in a process of its own, forked from one that has the libraries loaded and nothing of ours;
it runs the tests that the data file names for the module, the fastest first, to the first failure.
"""

import ast
import math
import multiprocessing
import os
import random
import re
import resource
import signal
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.machinery import SourceFileLoader
from itertools import takewhile
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import pytest
from scipy.stats import binomtest

if TYPE_CHECKING:
    import coverage  # pyright: ignore[reportMissingImports]
    import libcst  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).parent.parent
DATA = tomllib.loads((Path(__file__).parent / "mutations.toml").read_text())
MUTATIONS = {entry["name"]: entry for entry in DATA["mutation"]}
TESTS = {file: group["tests"] for group in DATA["source"] for file in group["files"]}
EQUIVALENT = {(entry["file"], entry["old"], entry.get("new")) for entry in DATA["equivalent"]}

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["numpy", "scipy.stats", "sympy", "hypothesis.extra.numpy", "pytest", "flint", "mpmath", "autograd.numpy"]
)
MOST_SECONDS = 10.0
"""What the tests that a mutant is given may take on the code as it is."""


class Mutant(NamedTuple):
    """A module with one change: in the text, ``old`` lines have become ``new`` ones."""

    file: str
    text: str
    line: int
    old: str
    new: str

    @property
    def is_equivalent(self) -> bool:
        """Whether the data file has it, or all changes of these lines, among those that no test can tell."""
        return any((self.file, self.old, new) in EQUIVALENT for new in (self.new, None))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}\n- {self.old}\n+ {self.new}"


class Ran(NamedTuple):
    """What the unbroken code's tests take and reach."""

    seconds: dict[str, float]
    reached: dict[str, dict[int, list[str]]]
    """Of a file, for each line, the tests that ran it; ``""`` is the import."""


class Watch:
    """Plugin: only the tests named, in that order, without shrinking; how long each took, and what it reached."""

    def __init__(self, tests: list[str], measured: "coverage.Coverage | None") -> None:
        self.tests, self.measured, self.seconds = tests, measured, {}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.measured is None:
            order = {test: i for i, test in enumerate(self.tests)}
            place = {}
            for item in items:
                named = (item.nodeid, item.nodeid.split("[")[0], item.nodeid.split("::")[0])
                place[item] = next((order[name] for name in named if name in order), None)
            items[:] = sorted((item for item in items if place[item] is not None), key=place.__getitem__)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self.measured is not None:
            self.measured.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def run_in_fork(sender: Connection, tests: list[str], mutant: Mutant | None, seconds: int) -> None:
    os.setsid()  # what it starts can be ended with it
    os.chdir(ROOT)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    measured = None
    if mutant is None:
        import coverage  # pyright: ignore[reportMissingImports]

        measured = coverage.Coverage(data_file=None, include=[str(ROOT / file) for file in TESTS])
        measured.start()
    else:
        usual = SourceFileLoader.get_code
        broken = "metarep." + mutant.file.removesuffix(".py").replace("/", ".")

        def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
            return compile(mutant.text, self.path, "exec") if fullname == broken else usual(self, fullname)

        SourceFileLoader.get_code = get_code
    watch = Watch(tests, measured)
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    # pytest's own loader, which writes assertions anew, would be asked before ours.
    code = pytest.main(["-q", "-x", "-n0", "-p", "no:cacheprovider", "--assert=plain", *files], plugins=[watch])
    reached = {}
    if measured is not None:
        measured.stop()
        data = measured.get_data()
        reached = {file: data.contexts_by_lineno(str(ROOT / file)) for file in TESTS}
    sender.send(Ran(watch.seconds, reached))
    os._exit(int(code))


def run_tests(tests: list[str], mutant: Mutant | None = None, seconds: float = 600.0) -> tuple[int | None, Ran | None]:
    """pytest's exit code (negative: ended by a signal, as after so many CPU seconds), and what it saw."""
    receiver, sender = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=run_in_fork, args=(sender, tests, mutant, math.ceil(seconds)))
    process.start()
    sender.close()
    try:
        ran = receiver.recv() if receiver.poll(900) else None
        process.join(60)
    except EOFError:
        ran = None
    with suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return process.exitcode, ran


def is_killed(mutant: Mutant, unbroken: Ran) -> bool:
    """By the fastest of the tests that reach the changed statement, as far as these take ``MOST_SECONDS`` together; of
    one that is run by an import, by any tests after these.
    """
    around = [
        node
        for node in ast.walk(ast.parse((ROOT / mutant.file).read_text()))
        if isinstance(node, ast.stmt) and node.lineno <= mutant.line <= (node.end_lineno or 0)
    ]
    statement = min(around, key=lambda node: (node.end_lineno or 0) - node.lineno)
    lines = range(statement.lineno, (statement.end_lineno or 0) + 1)
    reached = {test for line in lines for test in unbroken.reached[mutant.file].get(line, ())}
    known = [test for test in unbroken.seconds if "" in reached or test in reached]
    known = [test for test in known if test.split("::")[0] in TESTS[mutant.file]]
    chosen, total = [], 0.0
    for test in sorted(known, key=lambda test: (test not in reached, unbroken.seconds[test])):
        if total + unbroken.seconds[test] > MOST_SECONDS:
            break
        chosen.append(test)
        total += unbroken.seconds[test]
    return bool(chosen) and run_tests(chosen, mutant, 10 + 3 * total)[0] not in (0, 5)


def loses(node: "libcst.CSTNode", new: "libcst.CSTNode") -> bool:
    """Whether an argument is gone, or another one, that is a string or a ``zip``'s ``strict``."""
    import libcst  # pyright: ignore[reportMissingImports]

    if not (isinstance(node, libcst.Call) and isinstance(new, libcst.Call)):
        return False
    gone = [arg for arg in node.args if arg not in new.args]
    return any(isinstance(arg.value, libcst.BaseString) or is_strict(arg) for arg in gone)


def is_strict(node: "libcst.CSTNode") -> bool:
    """Whether it is a ``zip``'s ``strict=True``."""
    import libcst  # pyright: ignore[reportMissingImports]

    return isinstance(node, libcst.Arg) and node.keyword is not None and node.keyword.value == "strict"


def names_a_type(node: "libcst.CSTNode") -> bool:
    """``Array = np.ndarray`` and the like, by the names that types have; a type that is called for is none."""
    import libcst  # pyright: ignore[reportMissingImports]

    if not isinstance(node, libcst.Assign) or isinstance(node.value, libcst.Call):
        return False
    names = [target.target.value for target in node.targets if isinstance(target.target, libcst.Name)]
    return any(re.fullmatch("[A-Z][a-z]+([A-Z][a-z]+)*", name) for name in names)


def changes_of(file: str) -> list[Callable[[], Mutant]]:
    """All of mutmut's changes to a module but those of strings (messages), annotations and names for types, decorators,
    and what asserts: ``raise``, and that two sequences of a ``zip`` are of one length.
    """
    import libcst  # pyright: ignore[reportMissingImports]
    from mutmut.mutation.mutators import mutation_operators  # pyright: ignore[reportMissingImports]

    module = libcst.parse_module((ROOT / file).read_text())
    found = []

    class Visitor(libcst.CSTVisitor):
        def on_visit(self, node: libcst.CSTNode) -> bool:
            if isinstance(node, libcst.Annotation | libcst.Decorator | libcst.BaseString | libcst.Raise):
                return False
            if is_strict(node) or names_a_type(node):
                return False
            for kind, operator in mutation_operators:
                if isinstance(node, kind):
                    changed = [new for new in operator(node) if not loses(node, new)]
                    found.extend(partial(mutant, file, module, node, new) for new in changed)
            return True

    module.visit(Visitor())
    return found


def agree(one: list[str], other: list[str]) -> int:
    """How many first entries are the same."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in same)


def mutant(file: str, module: "libcst.Module", node: "libcst.CSTNode", new: "libcst.CSTNode") -> Mutant:
    changed_module: Any = module.deep_replace(node, new)
    text = changed_module.code
    before, after = module.code.splitlines(), text.splitlines()
    first = agree(before, after)
    last = agree(before[first:][::-1], after[first:][::-1])
    old, changed = ("\n".join(line.strip() for line in lines[first : len(lines) - last]) for lines in (before, after))
    return Mutant(file, text, first + 1, old, changed)


def sample(size: int, seed: int) -> list[Mutant]:
    """Of each module its share, drawn on its own: a change to one module leaves the others' sample as it is."""
    changes = {file: changes_of(file) for file in TESTS}
    total = sum(map(len, changes.values()))
    drawn = []
    for file, found in changes.items():
        random.Random(f"{seed} {file}").shuffle(found)
        drawn += [make() for make in found[: math.ceil(size * len(found) / total)]]
    return [mutant for mutant in drawn if compiles(mutant)]


def compiles(mutant: Mutant) -> bool:
    try:
        compile(mutant.text, mutant.file, "exec")
    except SyntaxError:
        return False
    return True


@pytest.fixture(scope="module")
def unbroken() -> Ran:
    """The tests of all modules on the code as it is: they pass."""
    files = sorted({test for tests in TESTS.values() for test in tests})
    seconds, reached = {}, {file: {} for file in TESTS}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, (code, ran) in zip(files, pool.map(lambda file: run_tests([file]), files), strict=True):
            assert code == 0, f"{file} fails on the code as it is"
            assert ran is not None
            seconds |= ran.seconds
            for source, lines in ran.reached.items():
                for line, tests in lines.items():
                    reached[source].setdefault(line, []).extend(tests)
    return Ran(seconds, reached)


def test_every_mutation_is_of_text_that_is_there() -> None:
    for entry in MUTATIONS.values():
        assert (ROOT / entry["file"]).read_text().count(entry["old"]) == 1, entry["name"]
        assert entry["new"] != entry["old"]
    for entry in DATA["equivalent"]:
        lines = [line.strip() for line in (ROOT / entry["file"]).read_text().splitlines()]
        assert entry["old"] in "\n".join(lines), entry
        assert entry["reason"]


@pytest.mark.mutation
@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_is_seen(unbroken: Ran, name: str) -> None:
    entry = MUTATIONS[name]
    assert all(any(test.startswith(named) for test in unbroken.seconds) for named in entry["tests"])
    text = (ROOT / entry["file"]).read_text().replace(entry["old"], entry["new"])
    assert run_tests(entry["tests"], Mutant(entry["file"], text, 0, entry["old"], entry["new"]))[0] == 1


@pytest.mark.mutation
def test_a_sample_of_mutants_is_killed(unbroken: Ran, pytestconfig: pytest.Config) -> None:
    """``--mutants`` says how many, ``--mutants-seed`` which; those that no test can tell are named in the data file."""
    drawn = sample(pytestconfig.option.mutants, pytestconfig.option.mutants_seed)
    tried = [mutant for mutant in drawn if not mutant.is_equivalent]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        killed = list(pool.map(partial(is_killed, unbroken=unbroken), tried))
    share, interval = sum(killed) / len(tried), binomtest(sum(killed), len(tried)).proportion_ci(method="wilson")
    said = [
        f"{sum(killed)} of {len(tried)} mutants are killed: {share:.1%}, of all {interval.low:.1%} to "
        f"{interval.high:.1%} (Wilson, 95 %); {len(drawn) - len(tried)} more are named as equivalent",
        *(str(mutant) for mutant, seen in zip(tried, killed, strict=True) if not seen),
    ]
    print("\n".join(said))
    assert share >= 0.95, "\n".join(said)
