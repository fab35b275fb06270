"""Embeddings read codes: whole numbers that preprocessing leaves as they are."""

from __future__ import annotations

from collections.abc import Iterator

from core.spec.data import DataSpec
from core.spec.dataset import DatasetSchema
from core.spec.findings import Findings, show
from core.spec.layer_types.basic import Select
from core.spec.layer_types.embedding import Embedding
from core.spec.shapes import Body, deep


def check_codes(body: Body, data: DataSpec, schema: DatasetSchema, findings: Findings) -> None:
    """Faults where an embedding would read numbers that are no codes, as far as the data set's schema tells."""
    found = list(_embeddings(body))
    if not found:
        return
    for field, change in (("scale", data.preprocess.scale), ("normalize", data.preprocess.normalize)):
        if change != "none":
            findings.fault(
                f"/data/preprocess/{field}",
                "scaled_codes",
                f"received {change} with an embedding, expected none: codes must stay whole numbers; do set it to none",
            )
    for where, embedding, selected in found:
        if not selected:  # which columns a `select` leaves is seen when the run begins
            _check_columns(where, embedding, data, schema, findings)


def _embeddings(body: Body) -> Iterator[tuple[str, Embedding, bool]]:
    """Every embedding with its pointer, and whether a `select` stands before it."""
    selected = False
    for layer, planned in zip(body.layers, body.planned, strict=True):
        within = selected or any(isinstance(each, Select) for each in layer.everything())
        for path, inner in (("", layer), *deep(layer)):
            if isinstance(inner, Embedding):
                yield f"{planned.origin}/{path}".rstrip("/"), inner, within
        selected = within


def _check_columns(where: str, embedding: Embedding, data: DataSpec, schema: DatasetSchema, findings: Findings) -> None:
    """All features of a table are codes of that embedding."""
    derived = [name for name in data.features or () if name in data.derive]
    columns = [column for name in data.features or () if (column := schema.column(name)) is not None]
    for column in columns:
        if column.type not in ("integer", "boolean"):
            findings.fault(
                where,
                "needs_codes",
                f"received the {column.type} column {show(column.name)}, expected whole numbers in every feature; do "
                "name the columns of codes in data.features",
            )
            return
        if column.min is not None and column.max is not None and (column.min < 0 or column.max >= embedding.entries):
            findings.fault(
                f"{where}/entries",
                "too_few_entries",
                f"received {embedding.entries} entries for the column {show(column.name)} of {column.min:g} to "
                f"{column.max:g}, expected codes from 0 to entries - 1; do raise entries to {column.max + 1:g}, or "
                "change the codes",
            )
            return
        if column.missing and data.preprocess.impute == "mean":
            findings.fault(
                "/data/preprocess/impute",
                "scaled_codes",
                f"received mean for the column {show(column.name)} with missing codes, expected a whole number in "
                "their place; do set it to zero",
            )
            return
    if derived:
        findings.fault(
            where,
            "needs_codes",
            f"received the derived feature {show(derived[0])}, expected whole numbers alone; do leave it out",
        )
