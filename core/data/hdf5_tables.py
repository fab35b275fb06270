"""The forms in which HDF5 files hold tables: compound data sets, groups of columns, and what pandas writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.data.table import Array


@dataclass(frozen=True, slots=True)
class Layout:
    """One table: the data sets it is made of, each with the name of its column, `None` for one that has fields."""

    sources: Mapping[str, str | None]
    # data set of names beside one of values (N, k): what pandas calls a block
    blocks: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()

    def columns(self, loaded: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays by column from the data sets' values."""
        columns: dict[str, Array] = {}
        for source, name in self.sources.items():
            values = loaded[source]
            if self.blocks is not None:
                if source in self.blocks:
                    names = [_text(cell) for cell in loaded[self.blocks[source]].tolist()]
                    columns |= {name: values[:, place] for place, name in enumerate(names)}
            elif name is None:
                columns |= {field: values[field] for field in values.dtype.names or ()}
            else:
                columns[name] = values
        return columns


Tables = dict[str, Layout]


def tables_in(datasets: Mapping[str, Any], groups: Mapping[str, Any]) -> Tables:
    """Every table by its key: a compound data set's path, or that of the group whose data sets are its columns."""
    tables: Tables = {
        path: Layout({path: None})
        for path, dataset in datasets.items()
        if _is_compound(dataset) and not _internal(path)
    }
    for path, group in groups.items():
        inside = {name: datasets[name] for name in datasets if name.rpartition("/")[0] == path}
        if not inside or any(_is_compound(dataset) for dataset in inside.values()) or _internal(path):
            continue
        layout = _pandas_frame(path, group, inside) or _equal_columns(path, inside)
        if layout is not None:
            tables[path] = layout
    return tables


def _is_compound(dataset: Any) -> bool:
    return bool(dataset.dtype.names) and len(dataset.shape or ()) == 1


def _internal(path: str) -> bool:
    """Indexes of PyTables."""
    return any(part.startswith("_i_") for part in path.split("/"))


def _equal_columns(path: str, inside: Mapping[str, Any]) -> Layout | None:
    """Data sets (N,) of one length, at least one; `x` alone is an array."""
    shapes = {dataset.shape for dataset in inside.values()}
    if len(shapes) != 1 or len(next(iter(shapes)) or ()) != 1 or "x" in {name.lower() for name in inside}:
        return None
    return Layout({name: name.removeprefix(path).strip("/") for name in inside})


def _pandas_frame(path: str, group: Any, inside: Mapping[str, Any]) -> Layout | None:
    """A frame in pandas' fixed format: names of columns beside blocks of values of one type."""
    if _text(group.attrs.get("pandas_type", b"")) != "frame":
        return None
    blocks: dict[str, str] = {}
    sources: dict[str, str | None] = {}
    lost = 0
    for number in range(len(inside)):
        items, values = f"{path}/block{number}_items", f"{path}/block{number}_values"
        if items not in inside or values not in inside:
            break
        if len(inside[values].shape or ()) != 2:
            # objects, which pandas pickles
            lost += 1
            continue
        blocks[values] = items
        sources |= {items: None, values: None}
    note = f"left out {lost} block(s) of Python objects, which are never read; write texts with format='table'"
    return Layout(sources, blocks, (note,) if lost else ()) if blocks else None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
