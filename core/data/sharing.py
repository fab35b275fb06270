"""One preparation for all runs of a process that ask for the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from core.data.prepared import Parts
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

T = TypeVar("T")
Key = tuple[str, str, str, Path, int]


class _Last:
    """What was prepared last, and what for."""

    def __init__(self) -> None:
        self.key: Key | None = None
        self.schema: DatasetSchema | None = None
        self.prepared: Parts | None = None
        self.derived: dict[Hashable, Any] = {}
        """What was made of it for one run and serves the others as well."""


_shared: ContextVar[_Last | None] = ContextVar("shared", default=None)


@contextmanager
def shared_preparations() -> Iterator[None]:
    """Within the block `prepare_parts` keeps its last result for who asks for the same again; arrays are read-only."""
    token = _shared.set(_Last())
    try:
        with read_only_arrays():
            yield
    finally:
        _shared.reset(token)


@contextmanager
def read_only_arrays() -> Iterator[None]:
    """Within the block torch does not complain of arrays that it may not write to: it never does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        yield


def once(spec: JobSpec, schema: DatasetSchema, data_path: Path, fold: int, make: Callable[[], Parts]) -> Parts:
    """What `make` gives, or gave before where it is kept. It depends on what is named here and on nothing else."""
    last = _shared.get()
    if last is None:
        return make()
    key = (spec.data.model_dump_json(), spec.task, spec.training.precision, data_path, fold)
    if last.prepared is None or last.key != key or last.schema != schema:
        last.prepared = None
        last.derived = {}
        last.key, last.schema, last.prepared = key, schema, _frozen(make())
    return last.prepared


def derived_once(prepared: Parts, key: Hashable, make: Callable[[], T]) -> T:
    """What `make` makes of a preparation, or made before where that is kept. It depends on the two named and on nothing
    else, and nobody writes to it."""
    last = _shared.get()
    if last is None or last.prepared is not prepared:
        return make()
    if key not in last.derived:
        last.derived[key] = make()
    made: T = last.derived[key]
    return made


def _frozen(prepared: Parts) -> Parts:
    for part in prepared.present:
        for each in fields(part):
            array = getattr(part, each.name)
            if array is not None:
                array.flags.writeable = False
    return prepared
