"""A data set and what is known of its columns."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from api.schemas.common import Answer, Time
from core.services.dataset_view import DatasetView
from core.services.pages import Page


class Dataset(Answer):
    """A data set; built-in ones are made or shipped by the service and belong to everybody."""

    id: str = Field(examples=["ds_0193a5f0c0de7000b000000000000000"])
    name: str | None
    builtin: bool
    kind: str = Field(description="`table` or `arrays`")
    rows: int
    columns: list[dict[str, Any]] = Field(description="of a table: name, type, missing, distinct, categories, range")
    arrays: list[dict[str, Any]] = Field(description="of arrays: name, shape without the row axis, dtype")
    bytes: int | None
    sha256: str | None
    created_at: Time | None
    title: str | None
    description: str | None
    licence: str | None
    source: str | None
    default_target: str | None
    notes: list[str] = Field(description="what was left out of the uploaded file, and what looks odd in it")
    parameters: dict[str, Any] | None = Field(description="of a made set: what `data.parameters` may hold")


class DatasetPage(Answer):
    """Data sets, newest first, the built-in ones last."""

    data: list[Dataset]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[DatasetView]) -> Self:
        return cls(data=[Dataset.model_validate(view) for view in page.data], next_cursor=page.next_cursor)


class Preview(Answer):
    """The first rows."""

    data: list[dict[str, Any]]
