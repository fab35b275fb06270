"""A grid over some of the inputs of a network, the others held still: what a decision boundary is drawn on.

Legend: G points of the grid, N rows, D axes (1 or 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.preparation import Feature, Preparation
from core.engine.analyses.context import Context, Part, refuse
from core.engine.analyses.pca import principal_components
from core.engine.analyses.units import flat_numbers, groups
from core.spec.analyses import DecisionBoundary
from core.spec.dataset import DatasetSchema
from core.spec.findings import one_of, show

Floats = NDArray[np.float64]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Plane:
    """`inputs` makes network inputs (M, *shape) of places (M, D) in the plane; `rows` (N, D) are where rows lie.

    `kind` is features or principal.
    """

    kind: str
    names: tuple[str, ...]
    axes: tuple[Floats, ...]
    rows: Floats
    inputs: Callable[[Floats], Array]
    held: dict[str, Any]
    variance_explained: list[float] | None = None

    def places(self) -> Floats:
        """(G, D), the first axis running fastest."""
        if len(self.axes) == 1:
            return self.axes[0][:, None]
        x, y = np.meshgrid(*self.axes)
        return np.column_stack([x.reshape(-1), y.reshape(-1)])


def plane_of(request: DecisionBoundary, context: Context, part: Part) -> Plane:
    """The plane that a request names; Invalid when the inputs have no such features."""
    x = part.rows.x.numpy()
    no_feature = x.ndim > 2 or _is_normalized(context.model.preparation)
    if request.plane == "principal" or (request.plane == "auto" and request.features is None and no_feature):
        return _principal_plane(x, request)
    return _feature_plane(x, request, context)


def _is_normalized(preparation: Preparation) -> bool:
    """Whether each row is normalised for itself, so that no feature varies alone."""
    array = preparation.array
    return preparation.normalize != "none" or (array is not None and array.normalize != "none")


def _principal_plane(x: Array, request: DecisionBoundary) -> Plane:
    flat = x.reshape(len(x), -1).astype(np.float64)
    if min(flat.shape) < 2:
        raise refuse("/plane", "too_few_features", "received one feature or row, expected two; do take plane features")
    found = principal_components(flat, 2)
    # a few rows far out would leave the others a corner of the picture
    core = np.quantile(found.coordinates, (0.01, 0.99), axis=0)
    axes = tuple(_axis(column, request) for column in core.T)

    def inputs(places: Floats) -> Array:
        return (found.mean + places @ found.axes).reshape(-1, *x.shape[1:]).astype(x.dtype)

    names = ("principal component 1", "principal component 2")
    return Plane("principal", names, axes, found.coordinates, inputs, {}, found.variance_explained)


def _feature_plane(x: Array, request: DecisionBoundary, context: Context) -> Plane:
    preparation = context.model.preparation
    if _is_normalized(preparation):
        raise refuse(
            "/plane",
            "normalized_rows",
            "received features of rows that are normalised each for itself, so that no feature varies alone; do take "
            "plane principal",
        )
    numbers = flat_numbers(x, preparation) if x.ndim == 2 or request.features else {}
    usable = [name for name in numbers if name not in (preparation.derive or {})]
    if x.ndim > 2 and (request.features is None or preparation.kind == "arrays"):
        raise refuse(
            "/plane",
            "not_flat",
            f"received features for inputs of shape {list(x.shape[1:])}, expected flat ones; do take plane principal",
        )
    varying = [name for name in usable if np.ptp(numbers[name]) > 0]
    names = request.features or tuple(varying[:2] if len(varying) > 1 else usable[:2])
    for index, name in enumerate(names):
        if name not in usable:
            raise refuse(
                f"/features/{index}",
                "unknown_feature",
                f"received {show(name)}, expected a feature that is a number: {one_of(usable)}; do choose one",
            )
    if not names or len(set(names)) < len(names):
        raise refuse(
            "/features",
            "too_few_features",
            f"received {one_of(names)}, expected one or two different features that are numbers; do name them, or take "
            "plane principal",
        )
    rows = np.column_stack([numbers[name] for name in names])
    held = _held(x, request.others, preparation, context.schema)
    from_places = _table_inputs if preparation.kind == "table" else _array_inputs
    shown = {name: value for name, value in held.items() if name not in names}
    axes = tuple(_axis(column, request) for column in rows.T)
    return Plane("features", names, axes, rows, from_places(preparation, names, held), shown)


def _table_inputs(preparation: Preparation, names: tuple[str, ...], held: dict[str, Any]) -> Callable[[Floats], Array]:
    def inputs(places: Floats) -> Array:
        # derived features follow from the columns that vary, as for a row that a user sends
        rows = [held | dict(zip(names, place, strict=True)) for place in places.tolist()]
        return preparation.rows_to_x(rows)

    return inputs


def _array_inputs(preparation: Preparation, names: tuple[str, ...], held: dict[str, Any]) -> Callable[[Floats], Array]:
    still = np.array([held[name] for name in held])
    columns = [int(name) for name in names]

    def inputs(places: Floats) -> Array:
        values = np.repeat(still[None], len(places), 0)
        values[:, columns] = places
        return preparation.inputs_to_x(values.tolist())

    return inputs


def _held(x: Array, others: str, preparation: Preparation, schema: DatasetSchema | None) -> dict[str, Any]:
    """A value for every column of a row: median or mean of a number, the most frequent of anything else."""
    numbers = flat_numbers(x, preparation)
    middle = np.median if others == "median" else np.mean
    if preparation.kind == "arrays":
        return {name: float(middle(values)) for name, values in numbers.items()}
    flat = x.reshape(len(x), -1)
    held: dict[str, Any] = {}
    for group, feature in zip(groups(preparation), preparation.features, strict=True):
        if group.name in numbers:
            held[group.name] = float(middle(numbers[group.name]))
        elif feature.kind == "boolean":
            held[group.name] = bool(flat[:, group.first].mean() >= 0.5)
        elif feature.categories:
            held[group.name] = _commonest(feature, flat[:, group.first : group.last])
        else:
            held[group.name] = None
    for name in preparation.columns:
        if name not in held:
            # read by derived features alone, so the inputs do not have it
            column = schema.column(name) if schema is not None else None
            held[name] = None if column is None else column.mean
    return {name: held[name] for name in preparation.columns}


def _commonest(feature: Feature, encoded: Array) -> str | int | None:
    """The category that most rows have, as rows send it; None when that is a missing or unseen one."""
    if feature.kind == "code":
        place = int(np.bincount(encoded[:, 0].astype(np.int64)).argmax())
    else:
        place = int(encoded.sum(0).argmax())
    if place == len(feature.categories):
        return None
    return int(feature.categories[place]) if feature.integers else feature.categories[place]


def _axis(values: Floats, request: DecisionBoundary) -> Floats:
    """Even points over the rows' extent and the margin beyond it."""
    low, high = float(values.min()), float(values.max())
    extent = high - low or 1.0
    return np.linspace(low - request.margin * extent, high + request.margin * extent, request.points)
