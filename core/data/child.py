"""`python -m core.data.child WORKDIR < nothing`: reads one hostile file in a process that may die of it.

The request stands in WORKDIR/request.json, the answer in WORKDIR/result.json, the data set in WORKDIR/data.safetensors.
Imports stay few: this start is most of what a small upload costs.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

from core.data.arrays import canonical, channels_in_front
from core.data.caps import Caps, bad_data
from core.data.contents import ArrayContents, Contents, TableContents
from core.data.selection import WHOLE, Selection
from core.errors import Invalid, NetmillError, TooLarge, Unavailable

_PR_SET_PDEATHSIG = 1


def main(workdir: Path) -> None:
    """Reads the file that the request names; every failure that Python survives is written down for the parent."""
    request = json.loads((workdir / "request.json").read_text())
    _confine(request)
    try:
        source, selection = Path(request["source"]), Selection.of(request["selection"])
        result = read(request["format"], source, workdir, Caps(*request["caps"]), selection)
    except NetmillError as refusal:
        result = _as_result(refusal)
    except MemoryError:
        result = _as_result(TooLarge(f"reading the file takes more than {request['memory_bytes']:,} bytes of memory"))
    except OSError as fault:
        result = _as_result(_of_the_system(fault, request["memory_bytes"]))
    except BaseException as fault:  # noqa: BLE001  # Rust panics derive from BaseException; the parent only wants the reason
        result = _as_result(bad_data(f"the file cannot be read: {type(fault).__name__}: {str(fault)[:300]}"))
    (workdir / "result.json").write_text(json.dumps(result, allow_nan=False))


def _of_the_system(fault: OSError, memory_bytes: int) -> NetmillError:
    """What ran out; Rust's errors carry the number in their text alone."""
    if fault.errno == errno.ENOMEM or "allocate memory" in str(fault):
        return TooLarge(f"reading the file takes more than {memory_bytes:,} bytes of memory")
    if fault.errno == errno.EFBIG or "File too large" in str(fault):
        return TooLarge("the data set is larger than allowed once read")
    if fault.errno == errno.ENOSPC or "No space left" in str(fault):
        return Unavailable("no disk space is left to read the upload")
    return bad_data(f"the file cannot be read: {str(fault)[:300]}")


def _as_result(error: NetmillError) -> dict[str, Any]:
    faults = [list(astuple(fault)) for fault in error.errors] if isinstance(error, Invalid) else []
    told = {"detail": error.detail, "code": error.code, "hint": error.hint, "errors": faults}
    return {"error": type(error).__name__, **told}


def _confine(request: dict[str, Any]) -> None:
    """Limits that hold before the first byte is read: memory, processor time, written bytes, no core file."""
    for what, wanted in (
        (resource.RLIMIT_AS, request["memory_bytes"]),
        (resource.RLIMIT_CPU, request["cpu_s"]),
        (resource.RLIMIT_FSIZE, request["file_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        _, ceiling = resource.getrlimit(what)
        limit = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
        resource.setrlimit(what, (limit, limit))
    if sys.platform == "linux":
        # whoever asked is gone: nobody will read the answer, or clean up
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != request["parent"]:
            os._exit(1)


def read(format_name: str, source: Path, workdir: Path, caps: Caps, selection: Selection = WHOLE) -> dict[str, Any]:
    """Schema, profile (with `notes`, if any) and preview of the file, whose canonical form is left in `workdir`."""
    target = workdir / "data.safetensors"
    made, notes = _contents(format_name, source, workdir, caps, selection)
    made.write(target)
    schema, profile, preview = made.describe()
    if notes:
        profile["notes"] = notes
    return {"schema": schema, "profile": profile, "preview": preview}


def _contents(
    format_name: str, source: Path, workdir: Path, caps: Caps, selection: Selection
) -> tuple[Contents, list[str]]:
    """What the file holds, and notes for its user. Each format pays for the libraries it needs alone: Polars is half
    of the child's start.
    """
    if format_name in ("csv", "parquet"):
        from core.data import frames  # noqa: PLC0415

        reader = frames.read_csv if format_name == "csv" else frames.read_parquet
        return TableContents(reader(source, workdir, caps)), []
    if format_name == "root":
        from core.data.root import read_root  # noqa: PLC0415

        return read_root(source, workdir, caps, selection)
    if format_name == "hdf5":
        # a plugin is a library that HDF5 would load and run because a file asks for it
        os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
        from core.data.hdf5 import read_hdf5  # noqa: PLC0415

        return read_hdf5(source, workdir, caps, selection)
    from core.data import npy  # noqa: PLC0415

    read_raw = npy.read_npz if format_name == "npz" else npy.read_npy
    arrays = read_raw(source, workdir, caps)
    arrays["x"], notes = channels_in_front(arrays["x"], selection.channels)
    return ArrayContents(*canonical(arrays)), notes


if __name__ == "__main__":
    main(Path(sys.argv[1]))
