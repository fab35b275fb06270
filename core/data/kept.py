"""Large data prepared once on a machine: the parts of a run in files that every runner maps instead of making them.

An entry is a folder named by all that its content depends on: data file, schema, what of the spec prepares them, the
code that does. It holds an .npy file for each array and `parts.json`, is written under another name and renamed when it
is whole. Nothing is flushed to the disk: an entry is believed under the boot alone in which it was written, and while
its files are as they were left. Who finds none, or a damaged one, prepares and writes it, two at once do so twice.
Mapped files may be deleted: their pages stay until the last runner has gone.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from core.data.preparation import Preparation
from core.data.prepared import Array, Part, Parts
from core.data.sharing import read_only_arrays
from core.events import Warned
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

LEAST_BYTES = 4 * 1024**2
"""Of the data file. Smaller ones are prepared in 20 ms, which is what it takes to write an entry."""

_PARTS = ("train", "validation", "test")
_TOLD = "parts.json"
_UNFINISHED = ".making-"
_FORGOTTEN_S = 3600.0
_CORE = Path(__file__).resolve().parents[1]
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of entries, of which the least recently used go when they are more than `max_bytes` together."""

    folder: Path
    max_bytes: int

    def make_room(self) -> None:
        """Deletes what is too much, and what writers that died have left."""
        entries = []
        for each in self.folder.iterdir():
            try:
                changed = (each if each.name.startswith(".") else each / _TOLD).stat().st_mtime
                entries.append((changed, each, sum(file.stat().st_size for file in each.iterdir())))
            except OSError:
                continue  # another one deletes it
        whole = sorted(entry for entry in entries if not entry[1].name.startswith("."))
        total = sum(num_bytes for _, _, num_bytes in whole)
        for _, each, num_bytes in whole:
            if total <= self.max_bytes:
                break
            _discard(each)
            total -= num_bytes
        for changed, each, _ in entries:
            if each.name.startswith(".") and time.time() - changed > _FORGOTTEN_S:
                shutil.rmtree(each, ignore_errors=True)


_shelf: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def keeping_preparations(folder: Path, max_bytes: int) -> Iterator[None]:
    """Within the block `prepare_parts` keeps large data in `folder`, with others of the machine. Data files must be
    named by what they hold. Arrays are read-only; 0 bytes keep nothing.
    """
    token = _shelf.set(Shelf(folder, max_bytes) if max_bytes and _BOOT.exists() else None)
    try:
        with read_only_arrays():
            yield
    finally:
        _shelf.reset(token)


def kept(spec: JobSpec, schema: DatasetSchema, data_path: Path, fold: int, make: Callable[[], Parts]) -> Parts:
    """What `make` gives, from the shelf where there is one and the data file is large enough.

    Windows, which are views of one array and take no memory of their own, are made by each run.
    """
    shelf = _shelf.get()
    if shelf is None or spec.data.window is not None or data_path.stat().st_size < LEAST_BYTES:
        return make()
    place = shelf.folder / _key(spec, schema, data_path, fold)
    found = _opened(place)
    return _stored(shelf, place, make()) if found is None else found


def _key(spec: JobSpec, schema: DatasetSchema, data_path: Path, fold: int) -> str:
    told = (
        _BOOT.read_text(),
        fingerprint(),
        data_path.name,
        data_path.stat().st_size,
        schema.model_dump_json(),
        spec.data.model_dump_json(),
        spec.task,
        spec.training.precision,
        fold,
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


@functools.cache
def fingerprint() -> str:
    """What tells the code that prepares from that of another release; it takes some milliseconds to read it all."""
    digest = hashlib.sha256(np.__version__.encode())
    for folder in ("data", "spec"):
        for file in sorted((_CORE / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _stored(shelf: Shelf, place: Path, parts: Parts) -> Parts:
    """The parts from their files, or as they are where these cannot be written or are too large."""
    if sum(array.nbytes for array in _arrays(parts).values()) > shelf.max_bytes:
        return parts
    try:
        shelf.folder.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=shelf.folder))
    except OSError:
        return parts
    try:
        _write(making, parts)
        # fails where another runner has been quicker
        making.rename(place)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
    shelf.make_room()
    found = _opened(place)
    return parts if found is None else found


def _arrays(parts: Parts) -> dict[str, Array]:
    return {
        f"{name}.{each.name}": array
        for name in _PARTS
        if (part := getattr(parts, name)) is not None
        for each in fields(part)
        if (array := getattr(part, each.name)) is not None
    }


def _write(folder: Path, parts: Parts) -> None:
    files = {}
    for name, array in _arrays(parts).items():
        np.save(_file(folder, name), array, allow_pickle=False)
        files[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "left": _left(_file(folder, name))}
    told = {
        "files": files,
        "preparation": parts.preparation.to_json(),
        "dropped_rows": parts.dropped_rows,
        "warnings": [asdict(warning) for warning in parts.warnings],
        "target_width": None if parts.target_width is None else parts.target_width.tolist(),
    }
    text = json.dumps(told)
    (folder / _TOLD).write_text(f"{_digest(text)}\n{text}")


def _opened(place: Path) -> Parts | None:
    """The parts of an entry, mapped; None where there is none. One that is damaged is deleted."""
    try:
        digest, _, text = (place / _TOLD).read_text().partition("\n")
        if digest != _digest(text):
            raise ValueError("parts.json is not as it was written")
        told = json.loads(text)
        arrays = {name: _mapped(_file(place, name), file) for name, file in told["files"].items()}
        os.utime(place / _TOLD)
    except (OSError, ValueError):
        _discard(place)
        return None
    train, validation, test = (_part(arrays, name) for name in _PARTS)
    assert train is not None
    return Parts(
        train,
        validation,
        test,
        Preparation.from_json(told["preparation"]),
        told["dropped_rows"],
        tuple(Warned(**warning) for warning in told["warnings"]),
        None if told["target_width"] is None else np.array(told["target_width"]),
    )


def _mapped(path: Path, file: dict[str, Any]) -> Array:
    """The array of a file that is as it was left; ValueError for any other. It begins with a line of memory."""
    if _left(path) != file["left"]:
        raise ValueError(f"{path.name} is not as it was written")
    array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    if array.dtype.str != file["dtype"] or list(array.shape) != file["shape"]:
        raise ValueError(f"{path.name} holds another array than it should")
    return array


def _part(arrays: dict[str, Array], name: str) -> Part | None:
    values = {each.name: arrays.get(f"{name}.{each.name}") for each in fields(Part)}
    x = values.pop("x")
    return None if x is None else Part(x, **values)


def _left(path: Path) -> list[int]:
    """What any later write changes."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _discard(place: Path) -> None:
    """Takes an entry away in one step, so that nobody finds half of it."""
    gone = place.with_name(f".gone-{os.getpid()}-{time.monotonic_ns()}")
    try:
        place.rename(gone)
    except OSError:
        return  # there is none, or another one is doing it
    shutil.rmtree(gone, ignore_errors=True)
