"""The features of a table: which columns, how wide once encoded, which formulas, and what shape the network sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.spec.base import Shape
from core.spec.data import DataSpec
from core.spec.dataset import Column, DatasetSchema
from core.spec.encoding import encoded_width, kind_of
from core.spec.expressions import ExpressionError, names_in, parse_expression
from core.spec.findings import Findings, nearest, one_of, pointer, show
from core.spec.layer_base import Code
from core.spec.limits import Limits
from core.spec.polynomial import MAX_TERMS, count_terms, terms

_NUMBERS = ("float", "integer", "boolean")
_NO_TIMES = "times are features only with data.preprocess.dates parts"
_LISTED = 5  # columns named in one warning
FAR, TINY = 10.0, 0.01  # means or deviations outside of them slow the training down when nothing scales them


@dataclass(frozen=True, slots=True)
class TableFeatures:
    """`listed` are the columns and derived ones in order, `names` the polynomial ones too; `shape` of one sample.

    `codes` are the inputs that an embedding looks up.
    """

    listed: tuple[str, ...]
    names: tuple[str, ...]
    shape: Shape | None
    codes: tuple[Code, ...] = ()


def table_features(
    data: DataSpec, schema: DatasetSchema, reserved: Mapping[str, str], limits: Limits, findings: Findings
) -> TableFeatures:
    """What a run learns from; the shape is None when it cannot be told."""
    _check_derived(data, schema, reserved, findings)
    if data.features is None:
        columns = _all_features(data, schema, reserved, limits, findings)
    else:
        columns = _listed_features(data, schema, reserved, limits, findings)
    listed = data.features or tuple(column.name for column in columns)
    names = (*listed, *(name for name in data.derive if name not in listed))
    for column in columns:
        _advise(column, data, findings)
    products = _polynomial(data, schema, names, findings)
    _check_categories(data, schema, columns, limits, findings)
    width = sum(encoded_width(column, data.preprocess) for column in columns) + len(data.derive) + len(products)
    if width == 0:
        findings.fault(
            "/data/features",
            "no_features",
            "received no column to learn from, expected at least one beside target, weight and split; do name some",
            needs=("/data/dataset", "/data/target", "/data/features", "/data/window"),
        )
        return TableFeatures(names, names, data.input_shape)
    return TableFeatures(names, (*names, *products), _shape(data, width, findings), _codes(names, columns, data))


def _codes(names: Sequence[str], columns: Sequence[Column], data: DataSpec) -> tuple[Code, ...]:
    """Where codes stand among the inputs; of those that are listed, for products come behind them."""
    if data.preprocess.categorical != "embedding":
        return ()
    by_name = {column.name: column for column in columns}
    found, place = [], 0
    for name in names:
        column = by_name.get(name)
        if column is not None and kind_of(column, data.preprocess) == "code":
            found.append(Code(name, place, len(column.categories or ()) + 1))
        place += 1 if column is None else encoded_width(column, data.preprocess)
    return tuple(found)


def polynomial_formulas(data: DataSpec, schema: DatasetSchema, names: Sequence[str]) -> dict[str, str]:
    """The formulas of `data.polynomial` by name, over those of the features `names` that are numbers."""
    if data.polynomial is None:
        return {}
    return terms(data.polynomial.columns or _numeric(data, schema, names), data.polynomial)


def _numeric(data: DataSpec, schema: DatasetSchema, names: Sequence[str]) -> list[str]:
    kinds = {column.name: column.type for column in schema.columns}
    labels = data.preprocess.categories
    return [name for name in names if name in data.derive or (kinds.get(name) in _NUMBERS and name not in labels)]


def _polynomial(data: DataSpec, schema: DatasetSchema, names: Sequence[str], findings: Findings) -> tuple[str, ...]:
    """Names of the products; faults when one cannot be made, or when they are too many."""
    asked = data.polynomial
    if asked is None:
        return ()
    numeric = _numeric(data, schema, names)
    columns = asked.columns or tuple(numeric)
    where = "/data/polynomial"
    for index, name in enumerate(asked.columns or ()):
        if name not in numeric or name in columns[:index]:
            expected = f"each once of the numeric features: {one_of(numeric)}"
            detail = f"received {show(name)}, expected {expected}; do choose among them"
            findings.fault(f"{where}/columns/{index}", "unknown_column", detail, needs=("/data/features",))
    for name in columns:
        if "`" in name:
            detail = f"received {show(name)}, whose name has a backtick, expected names without; do leave it out"
            findings.fault(where, "bad_name", detail)
    count = count_terms(len(columns), asked)
    if count > MAX_TERMS:
        what = f"{count} products of {len(columns)} columns"
        findings.exceeded(where, "too_many_terms", what, MAX_TERMS, do="lower the degree or name fewer columns")
        return ()
    products = tuple(terms(columns, asked))
    if taken := [name for name in products if schema.column(name) is not None or name in data.derive]:
        detail = f"received a product called {show(taken[0])}, which is a column already, expected a new name"
        findings.fault(where, "taken", f"{detail}; do rename that column")
    return products


def _all_features(
    data: DataSpec, schema: DatasetSchema, reserved: Mapping[str, str], limits: Limits, findings: Findings
) -> list[Column]:
    """Every column without another part that can be a feature; what is left out for its kind is said."""
    free = [column for column in schema.columns if column.name not in reserved]
    reasons = {
        column.name: reason for column in free if (reason := _unusable(column, data, schema.rows, limits)) is not None
    }
    if reasons:
        said = "; ".join(f"{show(name)}: {reason}" for name, reason in list(reasons.items())[:_LISTED])
        count = "1 column is no feature" if len(reasons) == 1 else f"{len(reasons)} columns are no features"
        more = f"; and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
        findings.warn("columns_left_out", "/data/features", f"{count}: {said}{more}")
    return [column for column in free if column.name not in reasons]


def _listed_features(
    data: DataSpec, schema: DatasetSchema, reserved: Mapping[str, str], limits: Limits, findings: Findings
) -> list[Column]:
    columns = []
    listed = data.features or ()
    for index, name in enumerate(listed):
        where = f"/data/features/{index}"
        column = schema.column(name)
        if name in listed[:index]:
            findings.fault(where, "duplicate", f"received {show(name)} twice, expected it once; do remove one")
        elif name in data.derive:
            continue
        elif column is None:
            known = [each.name for each in schema.columns if each.name not in reserved]
            near = nearest(name, known)
            advice = f"write {show(near)} (did you mean it?)" if near else "choose one of them"
            findings.fault(
                where, "unknown_column", f"received {show(name)}, expected a column: {one_of(known)}; do {advice}"
            )
        elif name in reserved:
            part = reserved[name]
            findings.fault(
                where,
                "leak",
                f"received {show(name)}, which is the {part}, expected columns without another part; do leave it out",
            )
        elif (reason := _unusable(column, data, schema.rows, limits)) is not None:
            do = "set it, or leave the column out" if reason == _NO_TIMES else "leave it out"
            findings.fault(where, "unusable_column", f"received {show(name)}, expected a feature: {reason}; do {do}")
        else:
            columns.append(column)
    return columns


def _unusable(column: Column, data: DataSpec, rows: int, limits: Limits) -> str | None:
    """Why a column cannot be a feature, or None."""
    if rows and column.missing >= rows:
        return "it has no values"
    if column.type == "datetime" and data.preprocess.dates == "none":
        return _NO_TIMES
    if column.type == "string":
        if column.categories is None:
            return f"it has too many different texts to encode, the limit is {min(limits.categories, 1000)}"
        if len(column.categories) > limits.categories:
            return f"it has {len(column.categories)} different texts, the limit is {limits.categories}"
    return None


def _check_categories(
    data: DataSpec, schema: DatasetSchema, features: Sequence[Column], limits: Limits, findings: Findings
) -> None:
    """Each of `preprocess.categories` is an integer column with few values, and a feature."""
    known = [column.name for column in features if column.type in ("integer", "string")]
    for index, name in enumerate(data.preprocess.categories):
        where = f"/data/preprocess/categories/{index}"
        column = schema.column(name)
        if name not in known or column is None:
            detail = f"received {show(name)}, expected an integer feature: {one_of(known)}; do choose among them"
            findings.fault(where, "unknown_column", detail, needs=("/data/features", "/data/dataset"))
        elif column.categories is None or len(column.categories) > limits.categories:
            detail = f"received {show(name)}, which has too many values, expected at most {limits.categories}"
            findings.fault(where, "too_many_categories", f"{detail}; do take it for a number")


def _check_derived(data: DataSpec, schema: DatasetSchema, reserved: Mapping[str, str], findings: Findings) -> None:
    """Each formula reads; it names numeric columns and formulas above it, and no target."""
    numeric = {column.name for column in schema.columns if column.type in ("float", "integer", "boolean")}
    numeric -= {name for name, part in reserved.items() if part != "weight"} | {data.weight or ""}
    known = sorted(numeric)
    for name, text in data.derive.items():
        where = pointer(("data", "derive", name))
        if schema.column(name) is not None:
            findings.fault(
                where,
                "taken",
                f"received {show(name)}, which is a column already, expected a new name; do choose another",
            )
        try:
            used = names_in(parse_expression(text))
        except ExpressionError as error:
            findings.fault(where, "bad_expression", str(error))
            continue
        for unknown in sorted(used - set(known)):
            near = nearest(unknown, known)
            advice = f"write {near} (did you mean it?)" if near else "choose one of them"
            if unknown in reserved:
                advice = f"leave it out: it is the {reserved[unknown]}"
            findings.fault(
                where,
                "unknown_column",
                f"received {show(unknown)} in the formula, expected numeric columns: {one_of(known)}; do {advice}",
                needs=("/data/dataset",),
            )
        known.append(name)


def _advise(column: Column, data: DataSpec, findings: Findings) -> None:
    """What about one feature may surprise."""
    kind = kind_of(column, data.preprocess)
    numeric = kind == "number"
    if column.missing and (numeric or kind == "date") and data.preprocess.impute == "none":
        findings.fault(
            "/data/preprocess/impute",
            "missing_values",
            f"received none for {show(column.name)}, where {column.missing} rows have no value, expected a way to "
            "fill them; "
            "do set it to mean",
        )
    if column.distinct == 1 and not column.missing:
        findings.warn(
            "constant_feature", "/data/features", f"column {show(column.name)} has one value only and teaches nothing"
        )
    far = max(abs(column.mean or 0.0), column.std or 0.0)
    if numeric and (far > FAR or 0 < far < TINY) and data.preprocess.scale == "none":
        findings.warn(
            "unscaled_inputs",
            "/data/preprocess/scale",
            f"column {show(column.name)} has mean {column.mean or 0:.3g} and deviation {column.std or 0:.3g} and "
            "nothing "
            "scales it; training will be slow or diverge: set scale to standard",
        )


def _shape(data: DataSpec, width: int, findings: Findings) -> Shape:
    """The axes that were asked for, whether or not they hold the features: the layers are then checked all the same."""
    if data.input_shape is None:
        return (width,)
    if math.prod(data.input_shape) != width:
        findings.fault(
            "/data/input_shape",
            "shape_mismatch",
            f"received {list(data.input_shape)} = {math.prod(data.input_shape)} values, expected a product of "
            f"{width}, the "
            "number of encoded features; do change the axes or name the features",
            needs=("/data/features", "/data/derive", "/data/dataset", "/data/target", "/data/weight", "/data/split"),
        )
    return data.input_shape
