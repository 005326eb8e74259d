"""Derivations as plain data (dictionaries, lists, strings, whole numbers), to JSON and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from metarep.theory.inequalities.core import Derivation, Line, Region, Says, State
from metarep.theory.inequalities.syntax import NotAccepted


def to_data(derivation: Derivation) -> dict[str, Any]:
    """The derivation as nested dictionaries and tuples, fit for ``json.dumps``."""
    return asdict(derivation)


def _pairs(rows: Any) -> tuple[Any, ...]:
    return tuple(tuple(row) if isinstance(row, list) else row for row in rows)


def from_data(data: Mapping[str, Any]) -> Derivation:
    """The derivation that ``to_data`` wrote. Whether it proves anything is for the core to say.

    Raises:
        NotAccepted: the data are not of that form.
    """
    try:
        region = data["region"]
        return Derivation(
            title=data["title"],
            region=Region(**{name: _pairs(rows) for name, rows in region.items()}),
            assumed=tuple(Says(**row) for row in data["assumed"]),
            lines=tuple(
                Line(row["rule"], Says(**row["says"]), tuple(row["uses"]), tuple(row["given"])) for row in data["lines"]
            ),
            kept=tuple(Says(**row) for row in data["kept"]),
            start=tuple(Says(**row) for row in data["start"]),
            state=tuple(State(**row) for row in data["state"]),
            definitions=_pairs(data["definitions"]),
            results=_pairs(data["results"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise NotAccepted(f"not the data of a derivation: {error}") from error
