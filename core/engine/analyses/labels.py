"""What is known of rows beside their inputs: classes or numbers to colour them by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.source import ArraySource, Source, TableSource
from core.engine.analyses.context import Context, Part
from core.errors import TrainingFailed

_MOST_CLASSES = 50


@dataclass(frozen=True, slots=True)
class Labels:
    """`classes` and for each row the index of its own, or `values`; neither when nothing is known."""

    name: str | None = None
    classes: tuple[Any, ...] | None = None
    index: NDArray[np.int64] | None = None
    values: NDArray[np.float64] | None = None

    def facts(self) -> dict[str, Any]:
        """As it stands in an answer."""
        return {"label": self.name, "classes": self.classes, "class": self.index, "value": self.values}


def labels_of(context: Context, part: Part) -> Labels:
    """The classes or the first target of the rows; of a reconstruction its label, or what its data set has as one."""
    task, rows = context.model.spec.task, part.rows
    name = (context.spec.data.targets or (None,))[0]
    if task == "classification":
        return Labels(name, context.model.classes, rows.y.astype(np.int64))
    if task == "regression":
        values = context.model.preparation.unscale_target(rows.y.astype(np.float64))
        return Labels(name, values=values.reshape(len(rows), -1)[:, 0])
    return _not_learnt(name, context, part)


def _not_learnt(name: str | None, context: Context, part: Part) -> Labels:
    """The classes of a column that the network neither sees nor predicts."""
    schema = context.schema
    is_asked_for = name is not None
    if schema is not None and name is None:
        name = schema.default_target or ("y" if schema.array("y") else None)
    if schema is None or name is None or context.data_path is None:
        return Labels()
    is_table = schema.kind == "table"
    source: Source = (TableSource if is_table else ArraySource)(context.data_path, schema)
    try:
        classes, numbers = source.classes(name), source.class_numbers(name)
    except TrainingFailed:
        # no classes, so nothing to tell rows apart by
        return Labels()
    if is_asked_for:
        # the rows of a part are counted without those that have no label
        numbers = numbers[numbers >= 0]
    elif len(numbers) != schema.rows:
        return Labels()
    if len(classes) > _MOST_CLASSES or part.numbers.max(initial=0) >= len(numbers):
        return Labels()
    return Labels(name, classes, numbers[part.numbers])
