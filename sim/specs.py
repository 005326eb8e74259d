"""Learners' specs from files: a few lines of TOML, or Python that says ``LEARNER = Learner(...)``."""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from metarep.sim.learners import Learner
from metarep.sim.user_code import load_user_code

KEYS = tuple(field.name for field in fields(Learner))
"""What a spec may say; ``name`` is the file's unless it is given, ``adapts`` must be."""


def _learner(entries: dict[str, Any], path: Path) -> Learner:
    for key in entries:
        if key not in KEYS:
            raise ValueError(f"{path} has the key {key!r}; allowed: {', '.join(KEYS)}")
    if "adapts" not in entries:
        raise ValueError(f"{path} has no key 'adapts'; allowed: a spec that says what the inner loop adapts")
    settings = {"name": path.stem, **entries}
    if settings["adapts"] == "nothing":
        settings.setdefault("inner_steps", 0)
    try:
        return Learner(**settings)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_spec(path: str | Path) -> Learner:
    """The learner that a file specifies.

    Args:
        path: a .toml file whose keys are ``Learner``'s fields, or a .py file that sets ``LEARNER``. Python files are
            run, so they must be trusted.

    Raises:
        ValueError: the file cannot be read, has an unknown key, or its parts do not make a learner.
    """
    path = Path(path)
    if path.suffix == ".py":
        code = load_user_code(path)
        found = getattr(code.module, "LEARNER", None)
        if not isinstance(found, Learner):
            raise code.error("does not set LEARNER to a Learner", "LEARNER = Learner(...)", code.line_of("LEARNER"))
        return found
    if path.suffix != ".toml":
        raise ValueError(f"{path} is neither .toml nor .py; allowed: a spec in one of these")
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark before the text
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"cannot read {path} ({reason}); allowed: a .toml file that exists") from None
    except (ValueError, RecursionError) as error:  # not TOML, or not UTF-8, or nested without end
        reason = " ".join(str(error).split())
        raise ValueError(f'{path} is not TOML ({reason}); allowed: lines such as adapts = "head"') from None
    return _learner(entries, path)
