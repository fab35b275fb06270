"""ROOT files to encoded columns, by uproot. Only the child that reads uploads imports this."""

from __future__ import annotations

import errno
import lzma
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from uproot.interpretation.numerical import Numerical
from uproot.interpretation.strings import AsStrings

from core.data.caps import Caps, bad_data, check_size
from core.data.columns import split_axes, stacked, stored_columns
from core.data.contents import TableContents
from core.data.sealed import no_more_files
from core.data.selection import Selection, unfit
from core.data.table import Array
from core.data.unpack import unpack

_LISTED = 30
# uproot imports these when a file needs them, when nothing more can be opened
_UNPACKERS = (lzma, zlib)


def read_root(source: Path, workdir: Path, caps: Caps, selection: Selection) -> tuple[TableContents, list[str]]:
    """The trees that are asked for, or the only one, as a table; and notes on what was left out."""
    path = unpack(source, workdir / "plain.root", caps.expanded_bytes)
    with path.open("rb") as file:
        if file.read(4) != b"root":
            raise bad_data("not a ROOT file: it must begin with the letters root")
        file.seek(0)
        _compile_nothing()
        with no_more_files():
            try:
                # a file object: neither a URL nor a name with a colon is looked into
                top = uproot.open(file, use_threads=False, array_cache=None, object_cache=None)
                return _read(top, selection, caps)
            except (uproot.DeserializationError, uproot.KeyInFileError, EOFError) as fault:
                raise bad_data(f"the ROOT file is damaged or cut off: {_first_line(fault)}") from fault
            except OSError as fault:
                # a seek before the start, or less than was promised: the file's doing, not the system's
                if fault.errno in (None, errno.EINVAL):
                    raise bad_data("the ROOT file is damaged or cut off") from fault
                raise


def _compile_nothing() -> None:
    """Takes from uproot the two places where it makes Python code from what stands in a file.

    Trees of scalars need neither: their classes are in uproot itself. What does need them is left out, or refused.
    """

    def refuse(*_: Any) -> Any:
        raise bad_data("the file describes classes of its own, which are not read here; write plain branches")

    uproot.deserialization._actually_compile = refuse  # noqa: SLF001  # there is no public switch
    setattr(uproot.interpretation.identify, "eval", refuse)  # noqa: B010  # a module's global hides the builtin


def _read(top: Any, selection: Selection, caps: Caps) -> tuple[TableContents, list[str]]:
    kinds = {str(name): str(kind) for name, kind in top.classnames(recursive=True, cycle=False).items()}
    names = _chosen(kinds, selection.tree)
    notes: list[str] = []
    parts = []
    for name in names:
        columns, left_out = _columns(top[name], name, caps)
        parts.append(columns)
        notes += [note for note in left_out if note not in notes]
    rows = sum(len(next(iter(part.values()))) for part in parts)
    check_size("rows", rows, caps.rows, "rows")
    columns, more = stacked(parts, names, selection.label)
    return TableContents(stored_columns(columns, caps)), notes + more


def _chosen(kinds: dict[str, str], asked: Sequence[str]) -> list[str]:
    trees = [name for name, kind in kinds.items() if kind in ("TTree", "TNtuple", "TNtupleD")]
    there = f"the file has {_listed(trees)}" if trees else f"the file has no tree, only {_listed(list(kinds.values()))}"
    if not asked:
        if len(trees) != 1:
            raise unfit("tree", f"received no tree=, expected one: {there}", "name one, or several with label= of each")
        return trees
    names = [name.split(";")[0].strip("/") for name in asked]
    for name in names:
        if name not in trees:
            raise unfit("tree", f"received tree={name[:100]}, expected a tree of the file: {there}")
    if len(set(names)) != len(names):
        raise unfit("tree", "received a tree twice, expected each once")
    return names


def _columns(tree: Any, name: str, caps: Caps) -> tuple[dict[str, Array], list[str]]:
    """(N,) arrays of a tree by column, and a note that lists the branches that are none."""
    rows = int(tree.num_entries)
    check_size(f"tree {name!r}", rows, caps.rows, "rows")
    kept, left_out = [], []
    for branch in tree.itervalues(recursive=True):
        if len(branch.branches):
            continue
        interpretation = _interpretation(branch)
        if isinstance(interpretation, (Numerical, AsStrings)):
            kept.append(branch)
        else:
            left_out.append(f"{branch.name} ({branch.typename})")
    note = f"left out of {name}, as their rows hold lists or objects: {_listed(left_out)}"
    if not kept:
        raise bad_data(f"tree {name!r} has no branch of one number or text a row; {note}")
    widths = sum(branch.interpretation.numpy_dtype.itemsize for branch in kept)
    check_size(f"tree {name!r}, declared size", rows * widths, caps.expanded_bytes, "bytes")
    if not rows:
        raise bad_data(f"tree {name!r} has no rows")
    columns: dict[str, Array] = {}
    for branch in kept:
        columns |= _branch_columns(branch, rows, caps)
    return columns, [note] if left_out else []


def _interpretation(branch: Any) -> object:
    try:
        return branch.interpretation
    except Exception:  # noqa: BLE001  # whatever is wrong with one branch, the others may be read
        return None


def _branch_columns(branch: Any, rows: int, caps: Caps) -> dict[str, Array]:
    values: Array = branch.array(library="np")
    if len(values) != rows:
        raise bad_data(f"branch {branch.name!r} has {len(values):,} rows, the tree {rows:,}")
    if values.dtype.names:
        # a leaf list, such as x/F:y/F
        return {f"{branch.name}.{field}": np.ascontiguousarray(values[field]) for field in values.dtype.names}
    return split_axes(str(branch.name), values, caps)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown or "nothing"


def _first_line(fault: Exception) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0][:200]
