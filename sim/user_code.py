"""A user's own Python, loaded: adapters, learners' specs, claims. One way to load it, and one form of what is wrong."""

import ast
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
import warnings
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

CAUGHT: tuple[type[BaseException], ...] = (Exception, SystemExit)
"""What a user's code may raise without it being taken for an interruption of the program."""
MOST_WORDS = 300
"""Characters of an error's message that are shown."""


class UserCodeError(ValueError):
    """A user's Python cannot be used; the message is one line: file and line, what is wrong, what is allowed."""


@dataclass(frozen=True)
class UserCode:
    """A user's module: what it was called by (a path or a dotted name), its file, the file relative to the working
    folder where it is below it, the module itself, and the error that speaks of it.
    """

    target: str
    path: str
    shown: str
    module: ModuleType
    error_type: type[UserCodeError] = UserCodeError

    def error(self, wrong: str, allowed: str, line: int = 1) -> UserCodeError:
        """What to raise about one of its lines."""
        return self.error_type(one_line(self.shown, line, wrong, allowed))

    def line_of(self, name: str) -> int:
        """The line on which it binds ``name`` at top level; 1 if it does not, or has no source."""
        try:
            tree = ast.parse(Path(self.path).read_bytes())
        except (OSError, ValueError, SyntaxError):
            return 1
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = {node.name}
            else:
                parts = tuple(ast.walk(node))
                names = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
                names |= {part.asname or part.name for part in parts if isinstance(part, ast.alias)}
            if name in names:
                return node.lineno
        return 1


def raised(error: BaseException) -> str:
    """An error's type and message in one line; making the message may itself raise, and it may be long."""
    try:
        message = " ".join(str(error).split())
    except CAUGHT as second:
        message = f"a message that cannot be shown ({type(second).__name__})"
    message = message if len(message) <= MOST_WORDS else message[:MOST_WORDS] + "…"
    return f"{type(error).__name__}{': ' + message if message else ''}"


def line_in(path: str, error: BaseException) -> int | None:
    """The last line of a file that an error came through; None if it came through none."""

    def here(file: str | None) -> bool:
        return file is not None and (file == path or os.path.realpath(file) == os.path.realpath(path))

    if isinstance(error, SyntaxError) and here(error.filename):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if here(frame.filename)]
    return lines[-1] if lines else None


def load_user_code(
    target: str | os.PathLike[str],
    error_type: type[UserCodeError] = UserCodeError,
    caught: tuple[type[BaseException], ...] = CAUGHT,
) -> UserCode:
    """Import a user's module. It is run, so it must be trusted.

    Args:
        target: path of an existing ``.py`` file, else the dotted name of a module. The working folder is importable,
            for the module's own imports too.
        error_type: what to raise.
        caught: the errors of the module's own that it is raised for.

    Raises:
        UserCodeError: there is none, or importing it raises.
    """
    target = os.fspath(target)
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    is_file = target.endswith(".py") and os.path.isfile(target)
    path = os.path.abspath(target) if is_file else _origin(target, error_type, caught)
    shown = shown_path(path)  # now: the module may change the working folder
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = _from_file(path) if is_file else importlib.import_module(target)
    except caught as error:  # whatever it raises, it is the user's file that must be named
        wrong, allowed = f"cannot be imported: {raised(error)}", "a module that imports without error"
        raise error_type(one_line(shown, line_in(path, error) or 1, wrong, allowed)) from error
    return UserCode(target, path, shown, module, error_type)


class _Uncached(SourceFileLoader):
    """Without bytecode, which a file that changes within a second, at the same length, does not make stale."""

    def path_stats(self, path: str) -> Any:
        """None can be told."""
        raise OSError


def _from_file(path: str) -> ModuleType:
    # A name of its own: the file may be called like a module that is needed, or like another user's.
    name = f"_metarep_user_{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Uncached(name, path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickles of the module look for it
    spec.loader.exec_module(module)
    return module


def _origin(name: str, error_type: type[UserCodeError], caught: tuple[type[BaseException], ...]) -> str:
    """The file of the module of that dotted name."""
    allowed = "an existing .py file, or the dotted name of a module that can be imported from the working folder"
    if not all(part.isidentifier() for part in name.split(".")):
        raise error_type(f"no file {name!r}, and it is no module's name; allowed: {allowed}")
    spec = None
    try:
        spec = importlib.util.find_spec(name)
    except caught as error:
        # A parent that is missing is no module; one that needs something missing, or raises, says so.
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if not missing or not f"{name}.".startswith(f"{missing}."):
            raise error_type(f"{name}: its package cannot be imported: {raised(error)}; allowed: {allowed}") from error
    if spec is None:
        raise error_type(f"no file and no module {name!r}; allowed: {allowed}")
    return spec.origin or name


def one_line(shown: str, line: int, wrong: str, allowed: str) -> str:
    """What is wrong on a line of a file, and what is allowed: one line that any terminal can show."""
    words = " ".join(f"{shown}:{line}: {wrong}; allowed: {allowed}".split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def shown_path(path: str) -> str:
    """A file as people see it: relative to the working folder where it is below it."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if relative.startswith("..") else relative
