"""Findings of a spec: collected, never raised one by one; a pointer, a stable code and a sentence for each."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import BaseModel

from core.errors import FieldError

Path = tuple[str | int, ...]


def pointer(path: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def show(value: object) -> str:
    """A value as it stands in `received …`: short, and finite whatever was sent."""
    if isinstance(value, dict | BaseModel):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    text = (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str | int | float | None) else type(value).__name__
    )
    return text if len(text) <= 60 else text[:57] + "…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None."""
    known = list(known)
    lowered = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def one_of(known: Sequence[str], *, most: int = 20) -> str:
    """`one of a, b, c` for a message, cut off when there are very many."""
    listed = ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")
    return f"one of {listed}" if len(known) > 1 else listed or "none"


@dataclass(frozen=True, slots=True)
class PlanWarning:
    """Allowed, but probably not what is wanted; `pointer` names the field to look at."""

    code: str
    pointer: str
    detail: str


class Findings:
    """All faults and warnings of one document, in the order found, one for each pointer and code.

    Fields that are already known to be faulty and were set aside are tainted: what follows from them is not reported.
    """

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str], FieldError] = {}
        self._warnings: dict[tuple[str, str], PlanWarning] = {}
        self._tainted: set[str] = set()

    @property
    def errors(self) -> tuple[FieldError, ...]:
        return tuple(self._errors.values())

    @property
    def warnings(self) -> tuple[PlanWarning, ...]:
        return tuple(self._warnings.values())

    def taint(self, where: str) -> None:
        self._tainted.add(where)

    def is_tainted(self, *where: str) -> bool:
        """Whether a field, one within it or one around it was set aside."""
        return any(_touch(bad, each) for each in where for bad in self._tainted)

    def is_sound(self, *where: str) -> bool:
        """Whether nothing was found within a field or around it."""
        return not self.is_tainted(*where) and not any(
            _touch(error.pointer, each) for each in where for error in self._errors.values()
        )

    def fault(self, where: str, code: str, detail: str, *, needs: Sequence[str] = ()) -> None:
        """Record a fault unless its field was set aside, or one that it rests upon (`needs`) is faulty itself."""
        if not self.is_tainted(where) and self.is_sound(*needs):
            self.add_error(FieldError(where, code, detail))

    def exceeded(self, where: str, code: str, received: str, limit: int, *, do: str, needs: Sequence[str] = ()) -> None:
        """Record that a limit of this service is passed: the figure that was asked for, and the limit."""
        detail = f"received {received}, expected at most {limit} (a limit of this service); do {do}"
        self.fault(where, code, detail, needs=needs)

    def add_error(self, error: FieldError) -> None:
        self._errors.setdefault((error.pointer, error.code), error)

    def warn(self, code: str, where: str, detail: str) -> None:
        self._warnings.setdefault((where, code), PlanWarning(code, where, detail))


def _touch(one: str, other: str) -> bool:
    """Whether two pointers are the same or one lies within the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")
