"""Ready job specs: each trains as it is, teaches one thing and names the figure that it reaches."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import NotFound
from core.spec.findings import nearest

_FOLDER = Path(__file__).with_name("zoo")


@cache
def _all() -> dict[str, dict[str, Any]]:
    """Every file of the folder by its name, in the order of `order` in it, simplest first."""
    entries = [{"name": path.stem, **json.loads(path.read_text("utf-8"))} for path in _FOLDER.glob("*.json")]
    return {entry["name"]: entry for entry in sorted(entries, key=lambda entry: int(entry["order"]))}


def list_specs() -> list[dict[str, Any]]:
    """The whole zoo: name, title, teaches, expected metrics (least or greatest), what is drawn, the spec of each."""
    return [_shown(entry) for entry in _all().values()]


def get_spec(name: str) -> dict[str, Any]:
    """One of the zoo; raises NotFound."""
    entries = _all()
    if name not in entries:
        near = nearest(name, entries)
        raise NotFound(f"received {name!r}, expected {', '.join(entries)}", hint=f"write {near}" if near else None)
    return _shown(entries[name])


def picture_path(name: str) -> Path:
    """Where the picture stands that the service made of an entry; `make pictures` writes it."""
    return _FOLDER / f"{name}.png"


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "order"}
