"""A data set as it is told to its user."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from core.data.builtin import BUILTIN, builtin_schema
from core.db.tables import Dataset


@dataclass(frozen=True, slots=True)
class DatasetView:
    """One data set; `created_at`, `sha256` and `bytes` are None for a built-in one, whose id is its name."""

    id: str
    name: str
    builtin: bool
    kind: str
    rows: int
    columns: list[dict[str, Any]]
    arrays: list[dict[str, Any]]
    bytes: int | None = None
    sha256: str | None = None
    created_at: datetime | None = None
    title: str | None = None
    description: str | None = None
    licence: str | None = None
    source: str | None = None
    default_target: str | None = None
    # name -> default, least, greatest, description of what `data.parameters` takes
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    # what the upload left out, and why
    notes: list[str] = field(default_factory=list)


def view_of(row: Dataset) -> DatasetView:
    """The view of a stored data set."""
    return DatasetView(
        id=row.id,
        name=row.name,
        builtin=False,
        kind=row.kind,
        rows=row.rows,
        columns=row.schema["columns"],
        arrays=row.schema["arrays"],
        bytes=row.bytes,
        sha256=row.sha256,
        created_at=row.created_at,
        notes=row.profile.get("notes", []),
    )


@cache
def builtin_view(name: str) -> DatasetView:
    """The view of the built-in set of that name, with its parameters at their defaults."""
    info, schema = BUILTIN[name], builtin_schema(name)
    dumped = schema.model_dump(mode="json")
    return DatasetView(
        id=name,
        name=name,
        builtin=True,
        kind=schema.kind,
        rows=schema.rows,
        columns=dumped["columns"],
        arrays=dumped["arrays"],
        title=info.title,
        description=info.description,
        licence=info.licence,
        source=info.source,
        default_target=info.default_target,
        parameters={key: asdict(parameter) for key, parameter in info.parameters.items()},
    )
