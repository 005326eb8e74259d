"""Adapters that ship, a library each, in the style of its own tutorial: to check it, and to begin your own from."""

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PREFIX = "with_"


@dataclass(frozen=True)
class Shipped:
    """An adapter that ships: the library's name, and the adapter's source."""

    name: str
    source: str

    @property
    def module(self) -> str:
        """Its dotted name."""
        return f"{__name__}.{PREFIX}{self.name.replace('.', '_')}"

    @property
    def words(self) -> tuple[str, str]:
        """What it does, and how its library is installed."""
        about, _, install = (ast.get_docstring(ast.parse(self.source)) or "").partition("\n\n")
        return about.removeprefix(f"{self.name}: "), install

    @property
    def imports(self) -> frozenset[str]:
        """The packages that it imports."""
        body = ast.parse(self.source).body
        names = [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in body if isinstance(node, ast.ImportFrom) and node.module]
        return frozenset(name.split(".")[0] for name in names)

    @property
    def missing(self) -> tuple[str, ...]:
        """Those that are not installed."""
        return tuple(sorted(name for name in self.imports if find_spec(name) is None))


def shipped() -> dict[str, Shipped]:
    """The adapters that ship, by the names of their libraries."""
    paths = sorted(Path(__file__).parent.glob(f"{PREFIX}*.py"))
    names = {path: path.stem.removeprefix(PREFIX).replace("_", ".") for path in paths}
    return {name: Shipped(name, path.read_text(encoding="utf-8")) for path, name in names.items()}
