"""One preparation for all runs of a process that ask for the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.data.prepared import Prepared
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

T = TypeVar("T")
Key = tuple[str, str, str, Path, int]


class _Last:
    """What was prepared last, and what for."""

    def __init__(self) -> None:
        self.key: Key | None = None
        self.schema: DatasetSchema | None = None
        self.prepared: Prepared | None = None
        self.derived: dict[Hashable, Any] = {}
        """What was made of it for one run and serves the others as well."""


_shared: ContextVar[_Last | None] = ContextVar("shared", default=None)


@contextmanager
def shared_preparations() -> Iterator[None]:
    """Within the block `prepare` keeps its last result for whoever asks for the same again; arrays are read-only."""
    token = _shared.set(_Last())
    try:
        with warnings.catch_warnings():
            # torch says so of every such array, and never writes to one
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            yield
    finally:
        _shared.reset(token)


def once(spec: JobSpec, schema: DatasetSchema, data_path: Path, fold: int, make: Callable[[], Prepared]) -> Prepared:
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


def derived_once(prepared: Prepared, key: Hashable, make: Callable[[], T]) -> T:
    """What `make` makes of a preparation, or made before where that is kept. It depends on the two named and on nothing
    else, and nobody writes to it."""
    last = _shared.get()
    if last is None or last.prepared is not prepared:
        return make()
    if key not in last.derived:
        last.derived[key] = make()
    made: T = last.derived[key]
    return made


def _frozen(prepared: Prepared) -> Prepared:
    for each in fields(prepared):
        array = getattr(prepared, each.name)
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return prepared
