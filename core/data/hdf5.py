"""HDF5 files to a table or arrays, by h5py. Only the child that reads uploads imports this.

A file is taken at its word nowhere: links out of it are not followed, data outside of it is not read, and what a
data set declares must fit the upload before anything is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from core.data.arrays import canonical, channels_in_front
from core.data.caps import MIB, Caps, bad_data, check_size
from core.data.columns import split_axes, stacked, stored_columns
from core.data.contents import ArrayContents, Contents, TableContents
from core.data.hdf5_tables import Tables, tables_in
from core.data.sealed import no_more_files
from core.data.selection import Selection, unfit
from core.data.table import Array
from core.data.unpack import unpack

ROLES = ("x", "y", "weight", "split")
MAX_OBJECTS = 10_000
MAX_DEPTH = 50
_LISTED = 30
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# bytes read at once
_BLOCK = 16 * MIB
_KNOWN_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
_FOREIGN_FILTERS = {307: "bzip2", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd"}
_FOREIGN_FILTERS |= {32026: "blosc2"}


@dataclass(slots=True)
class Found:
    """Data sets by their paths without the first slash, and links that lead elsewhere, which nobody follows."""

    datasets: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def listed(self) -> str:
        shown = [f"{name} {_kind(each)} {_shape(each)}" for name, each in list(self.datasets.items())[:_LISTED]]
        shown += [f"{name} ({kind} link, not followed)" for name, kind in list(self.links.items())[:_LISTED]]
        more = len(self.datasets) - _LISTED
        return (", ".join(shown) or "nothing") + (f" and {more} more" if more > 0 else "")


def read_hdf5(source: Path, workdir: Path, caps: Caps, selection: Selection) -> tuple[Contents, list[str]]:
    """What the selection names, or what the file's form makes plain; and notes for the user."""
    path = unpack(source, workdir / "plain.h5", caps.expanded_bytes)
    with path.open("rb") as plain:
        if plain.read(8) != _SIGNATURE:
            raise bad_data("not an HDF5 file: it must begin with \\x89HDF (a user block in front is not read)")
    try:
        # the driver is named, so that the file cannot ask for one that reads several files
        with h5py.File(path, "r", driver="sec2", locking=False) as file, no_more_files():
            return _read(file, selection, caps)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as fault:
        if isinstance(fault, OSError) and "allocate" in str(fault):
            raise MemoryError from fault
        raise bad_data(f"the HDF5 file is damaged, cut off or of an unknown kind: {str(fault)[:200]}") from fault


def _read(file: Any, selection: Selection, caps: Caps) -> tuple[Contents, list[str]]:
    found = _walk(file)
    tables = tables_in(found.datasets, found.groups)
    keys = _keys(found, selection)
    if not keys["x"] and not any(keys.values()):
        names = _chosen_tables(found, tables, selection)
        if names:
            return _table(found, tables, names, selection, caps)
        keys["x"] = _only_dataset(found, tables)
    if not keys["x"]:
        raise unfit("x", f"received no x, expected the key of one; the file has {found.listed()}")
    return _arrays(found, keys, selection, caps)


def _walk(file: Any) -> Found:
    """Everything that hard links reach, each object once: a group may hold itself."""
    found, seen, todo = Found(), {file["/"].id}, [("", file["/"], 0)]
    while todo:
        prefix, group, depth = todo.pop()
        found.groups[prefix] = group
        for name in group:
            path = f"{prefix}/{name}" if prefix else str(name)
            if len(found.datasets) + len(found.groups) + len(found.links) > MAX_OBJECTS:
                raise bad_data(f"the file holds more than {MAX_OBJECTS:,} objects")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                found.links[path] = "external" if isinstance(link, h5py.ExternalLink) else "soft"
                continue
            thing = group[name]
            if isinstance(thing, h5py.Dataset):
                found.datasets[path] = thing
            elif isinstance(thing, h5py.Group) and thing.id not in seen and depth < MAX_DEPTH:
                seen.add(thing.id)
                todo.append((path, thing, depth + 1))
    return found


def _keys(found: Found, selection: Selection) -> dict[str, list[str]]:
    """For each role the keys that play it: those that were named, else those at the top that are called so."""
    by_name = {name.lower(): name for name in found.datasets if "/" not in name}
    keys: dict[str, list[str]] = {}
    for role in ROLES:
        asked = getattr(selection, role)
        keys[role] = [_key(found, role, name) for name in asked]
        if not asked and not selection.table and role in by_name and (role == "x" or "x" in by_name or selection.x):
            keys[role] = [by_name[role]]
    if selection.label or len(keys["x"]) > 1:
        # each x is a class of its own: what stands beside them is of no single one
        for role in ("y", "weight", "split"):
            keys[role] = keys[role] if getattr(selection, role) else []
    return keys


def _key(found: Found, role: str, name: str) -> str:
    key = name.strip("/")
    if key in found.links:
        raise unfit(
            role, f"{key[:100]!r} is a {found.links[key]} link, expected data within the file: no link is followed"
        )
    if key not in found.datasets:
        raise unfit(role, f"received {role}={key[:100]}, expected a data set of the file: {found.listed()}")
    return key


def _chosen_tables(found: Found, tables: Tables, selection: Selection) -> list[str]:
    if selection.table:
        names = [name.strip("/") for name in selection.table]
        for name in names:
            if name not in tables:
                known = ", ".join(sorted(map(repr, tables))[:_LISTED]) or "none"
                raise unfit(
                    "table",
                    f"received table={name[:100]}, expected a compound data set, or a group of columns of one length: "
                    f"{known}; the file has {found.listed()}",
                )
        return names
    rest = set(found.datasets) - {name for columns in tables.values() for name in columns.sources}
    return list(tables) if len(tables) == 1 and not rest else []


def _only_dataset(found: Found, tables: Tables) -> list[str]:
    if len(found.datasets) == 1 and not tables:
        return list(found.datasets)
    raise unfit(
        "x",
        f"it is not plain which data are meant; the file has {found.listed()}",
        "name them: x=KEY&y=KEY; one data set a class: x=KEY,KEY&label=NAME,NAME; or table=KEY",
    )


def _table(
    found: Found, tables: Tables, names: Sequence[str], selection: Selection, caps: Caps
) -> tuple[Contents, list[str]]:
    parts, notes = [], []
    for name in names:
        chosen = tables[name]
        whole = {source: _load(found.datasets[source], source, caps) for source in chosen.sources}
        columns: dict[str, Array] = {}
        for column, array in chosen.columns(whole).items():
            columns |= split_axes(column, array, caps)
        parts.append(columns)
        notes += [note for note in chosen.notes if note not in notes]
    columns, more = stacked(parts, names, selection.label)
    return TableContents(stored_columns(columns, caps)), notes + more


def _arrays(found: Found, keys: dict[str, list[str]], selection: Selection, caps: Caps) -> tuple[Contents, list[str]]:
    arrays: dict[str, Array] = {}
    for role, names in keys.items():
        if names:
            arrays[role] = _joined(role, [_load(found.datasets[name], name, caps) for name in names], names)
    if (selection.label or len(keys["x"]) > 1) and "y" not in arrays:
        rows = [found.datasets[name].shape[0] for name in keys["x"]]
        arrays["y"] = np.repeat(np.array(selection.label or keys["x"]), rows)
    arrays["x"], notes = channels_in_front(arrays["x"], selection.channels)
    return ArrayContents(*canonical(arrays)), notes


def _joined(role: str, parts: list[Array], names: Sequence[str]) -> Array:
    if any(part.dtype.names for part in parts):
        raise unfit(role, f"{', '.join(names)} holds a table, expected an array", f"name it as table={names[0]}")
    if any(part.dtype.kind == "O" for part in parts):
        parts = [np.array([cell.decode() if isinstance(cell, bytes) else str(cell) for cell in part]) for part in parts]
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = ", ".join(f"{name} {part.shape}" for name, part in zip(names, parts, strict=True))
        raise unfit(role, f"received {shapes}, expected arrays that differ in their first axis alone")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _load(dataset: Any, name: str, caps: Caps) -> Array:
    """The values in the machine's own byte order, read in blocks; texts as an object array of bytes or str."""
    dtype = _readable(dataset, name, caps)
    rows = dataset.shape[0]
    values = np.empty(dataset.shape, dtype=dtype)
    step = max(1, _BLOCK // max(1, dtype.itemsize * math.prod(dataset.shape[1:])))
    if dataset.chunks:
        # whole chunks, else each is unpacked several times
        step = -(-step // dataset.chunks[0]) * dataset.chunks[0]
    for start in range(0, rows, step):
        values[start : start + step] = dataset[start : start + step]
    members = h5py.check_enum_dtype(dataset.dtype)
    if members is None or values.dtype.kind == "b":
        return values
    texts = {value: text for text, value in members.items()}
    return np.array([texts.get(value, "") for value in values.reshape(-1).tolist()]).reshape(values.shape)


def _readable(dataset: Any, name: str, caps: Caps) -> np.dtype[Any]:
    """The type to read into; raises for what is not in the file, not plain data, or larger than the file can hold."""
    if dataset.is_virtual or dataset.external:
        raise bad_data(f"{name!r} keeps its data in other files, which are never read", "copy them into one file")
    if dataset.shape is None or not dataset.shape:
        raise bad_data(f"{name!r} holds {'one value' if dataset.shape == () else 'nothing'}, expected an axis of rows")
    dtype = _native(dataset.dtype, name)
    check_size(f"{name!r}, rows", dataset.shape[0], caps.rows, "rows")
    check_size(f"{name!r}, declared size", math.prod(dataset.shape) * dtype.itemsize, caps.expanded_bytes, "bytes")
    if not math.prod(dataset.shape):
        raise bad_data(f"{name!r} has the shape {dataset.shape}, which holds no value")
    if dataset.chunks:
        chunk = math.prod(dataset.chunks) * dtype.itemsize
        check_size(f"{name!r}, one chunk", chunk, min(caps.expanded_bytes, 256 * MIB), "bytes")
    plan = dataset.id.get_create_plist()
    for place in range(plan.get_nfilters()):
        code = plan.get_filter(place)[0]
        if code not in _KNOWN_FILTERS or not h5py.h5z.filter_avail(code):
            label = _KNOWN_FILTERS.get(code) or _FOREIGN_FILTERS.get(code) or "an unknown filter"
            raise bad_data(
                f"{name!r} is compressed with {label} (filter {code}), expected {', '.join(_KNOWN_FILTERS.values())}",
                "write it with compression='gzip'",
            )
    return dtype


def _native(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    if dtype.names:
        fields = [(field, _native(dtype[field].base, f"{name}.{field}"), dtype[field].shape) for field in dtype.names]
        return np.dtype(fields)
    if h5py.check_string_dtype(dtype) is not None:
        return np.dtype(object) if dtype.kind == "O" else dtype
    if h5py.check_ref_dtype(dtype) is not None or h5py.check_vlen_dtype(dtype) is not None:
        what = "references to other objects" if h5py.check_ref_dtype(dtype) is not None else "lists of unequal length"
        raise bad_data(f"{name!r} holds {what}, expected numbers, booleans or texts")
    if dtype.kind in "biu":
        return dtype.newbyteorder("=")
    if dtype.kind == "f":
        return np.dtype({2: np.float32, 4: np.float32}.get(dtype.itemsize, np.float64))
    raise bad_data(f"{name!r} holds {dtype}, expected numbers, booleans or texts")


def _kind(dataset: Any) -> str:
    try:
        return str(dataset.dtype) if len(str(dataset.dtype)) < 80 else "compound"
    except (TypeError, ValueError):
        return "of an unknown type"


def _shape(dataset: Any) -> str:
    return str(dataset.shape)
