"""NumPy arrays to encoded columns: the encoding that `core.data.frames` gives to the same values, without Polars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.data.caps import Caps, bad_data, check_size
from core.data.csv_scan import check_names
from core.data.table import Array, StoredColumn, narrowest

LABEL = "label"
_INT64_END = 2**63


def stored_columns(arrays: Mapping[str, Array], caps: Caps) -> list[StoredColumn]:
    """Columns of equal length from arrays (N,) of numbers, booleans or texts, by name."""
    check_size("columns", len(arrays), caps.columns, "columns")
    check_names(list(arrays), "")
    rows = {len(array) for array in arrays.values()}
    if rows == {0} or len(rows) != 1:
        raise bad_data(f"columns of {', '.join(map(str, sorted(rows))) or 'no'} rows, expected one number from 1")
    return [stored_column(name, array) for name, array in arrays.items()]


def stored_column(name: str, array: Array) -> StoredColumn:
    """One array (N,) as it is stored."""
    kind = array.dtype.kind
    if kind == "b":
        return StoredColumn(name, "boolean", array.astype(np.int8))
    if kind == "f":
        return _float(name, array)
    if kind in "iu":
        if kind == "u" and len(array) and int(array.max()) >= _INT64_END:
            # such as hashes: only a float holds them
            return StoredColumn(name, "float", array.astype(np.float64))
        return StoredColumn(name, "integer", narrowest(array.astype(np.int64)))
    if kind in "OSU":
        return _text(name, array)
    raise bad_data(f"column {name!r} holds {array.dtype}, expected numbers, booleans or texts")


def _float(name: str, array: Array) -> StoredColumn:
    values = array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        raise bad_data(f"column {name!r}, row {row + 1}: {values[row]} is no finite number")
    return StoredColumn(name, "float", values)


def _text(name: str, array: Array) -> StoredColumn:
    """Codes into the sorted distinct texts; an empty one counts as missing."""
    try:
        texts = [cell.decode() if isinstance(cell, bytes) else str(cell) for cell in array.tolist()]
    except UnicodeDecodeError as fault:
        raise bad_data(f"column {name!r} holds bytes that are not UTF-8 text") from fault
    distinct = sorted(set(texts) - {""})
    codes = {text: code for code, text in enumerate(distinct)}
    return StoredColumn(name, "string", np.array([codes.get(t, -1) for t in texts], dtype=np.int32), tuple(distinct))


def split_axes(name: str, array: Array, caps: Caps) -> dict[str, Array]:
    """(N,) columns of an array (N, a, b, ...): `name` itself, or `name_0`, `name_1_2` for each place."""
    if array.ndim == 1:
        return {name: array}
    check_size("columns", int(np.prod(array.shape[1:])), caps.columns, "columns")
    return {
        f"{name}_{'_'.join(map(str, place))}": np.ascontiguousarray(array[(slice(None), *place)])
        for place in np.ndindex(array.shape[1:])
    }


def stacked(
    parts: Sequence[dict[str, Array]], names: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, Array], list[str]]:
    """Parts below each other with a column `label` that says which is which, and notes for the user.

    Columns that not all have are left out. One part without a label stays as it is.
    """
    if len(parts) == 1 and not labels:
        return parts[0], []
    common = [name for name in parts[0] if all(name in part for part in parts)]
    if not common:
        raise bad_data(f"{', '.join(names)} have no column in common, so they cannot be put below each other")
    if LABEL in common:
        raise bad_data(f"a column is called {LABEL} already, which is to say what each row is", "rename it in the file")
    lost = sorted({name for part in parts for name in part} - set(common))
    notes = [f"left out, as not all of {', '.join(names)} have it: {', '.join(lost)}"] if lost else []
    joined = {name: np.concatenate([part[name] for part in parts]) for name in common}
    constants = [name for name in common if _tells_apart([part[name] for part in parts])]
    if constants:
        notes.append(
            f"{', '.join(constants)} has one value in each part and another in the next: it is the label over again; "
            "leave it out of data.features"
        )
    rows = [len(next(iter(part.values()))) for part in parts]
    joined[LABEL] = np.repeat(np.array(labels or names, dtype=object), rows)
    return joined, notes


def _tells_apart(parts: Sequence[Array]) -> bool:
    values = [set(part[:1].tolist()) for part in parts if len(part) and bool((part == part[0]).all())]
    return len(values) == len(parts) > 1 and len(set.union(*values)) > 1
