"""A convenience for writing derivations: lines by name instead of by number. Nothing here is trusted."""

from metarep.theory.inequalities.core import Line, Says


class Lines:
    """Collects lines; each method returns the new line's number."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._names: dict[str, int] = {}

    def name(self, name: str, number: int) -> None:
        """Note that a line is a result of its own."""
        self._names[name] = number

    def results(self) -> tuple[tuple[str, int], ...]:
        """The noted lines, by name."""
        return tuple(self._names.items())

    def add(
        self, rule: str, kind: str, of: str, bound: str = "", uses: tuple[int, ...] = (), given: tuple[str, ...] = ()
    ) -> int:
        """Any rule."""
        self.lines.append(Line(rule, Says(kind, of, bound), uses, given))
        return len(self.lines)

    def assume(self, says: Says) -> int:
        """A hypothesis."""
        self.lines.append(Line("assumption", says))
        return len(self.lines)

    def identity(self, left: str, right: str) -> int:
        """left = right, by the definitions."""
        return self.add("identity", "equal", left, right)

    def said_of(self, number: int) -> Says:
        """What a line says."""
        return self.lines[number - 1].says

    def words(self, of: str, *uses: int, called: str = "", at_most: str = "") -> int:
        """‖of‖ by its words; ``called`` (equal to it by definition) takes its place, ``at_most`` weakens the bound."""
        number = self.add("words", "norm", of, "", uses)
        if called:
            number = self.replace(number, called)
        return self.weaken(number, at_most) if at_most else number

    def replace(self, number: int, new: str) -> int:
        """The same bound of what is equal to it."""
        said = self.said_of(number)
        equal = self.identity(new, said.of)
        return self.add("replace", said.kind, new, "", (number, equal))

    def weaken(self, number: int, bound: str) -> int:
        """A simpler bound."""
        said = self.said_of(number)
        return self.add("weaken", said.kind, said.of, bound, (number,))

    def sum(self, kind: str, of: str, *terms: tuple[str, int]) -> int:
        """The order of matrices for a weighted sum."""
        return self.add("sum", kind, of, "", tuple(n for _, n in terms), tuple(w for w, _ in terms))
