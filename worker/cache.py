"""Files that were fetched from the store, kept by content, so that the next job finds them on disk."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from core.services.claims import DataRef


class Source(Protocol):
    """Where a file comes from: writes the content with this sha256, verified, or raises."""

    def read_to(self, sha256: str, target: Path) -> None: ...


class FileCache:
    """A folder of files named by what they hold; the least recently used go when it is full."""

    def __init__(self, folder: Path, source: Source, max_bytes: int) -> None:
        self._folder = folder
        self._source = source
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        self._used: Counter[str] = Counter()
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def holding(self, sha256: str) -> Iterator[Path]:
        """The file with this content, fetched if it is not here; it stays for as long as the block runs."""
        with self._keeping(sha256) as path:
            with self._lock:
                fetching = self._fetching.setdefault(sha256, threading.Lock())
            # two jobs on one new data set fetch it once
            with fetching:
                if not path.exists():
                    self._source.read_to(sha256, path)
                    self._make_room()
            os.utime(path)
            yield path

    @contextmanager
    def holding_made(self, name: str, parameters: Mapping[str, Any]) -> Iterator[Path]:
        """Where the built-in set with these parameters stands, or is to be put by the runner that makes it."""
        text = json.dumps([name, parameters], sort_keys=True)
        with self._keeping(f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}") as path:
            yield path
        self._make_room()

    @contextmanager
    def holding_data(self, data: DataRef, spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The data file of a spec in the words of `runner.data_path`, which makes a built-in set that is not here."""
        if data.sha256 is not None:
            with self.holding(data.sha256) as path:
                yield {"path": str(path), "builtin": None, "parameters": None}
            return
        parameters = spec["data"].get("parameters") or {}
        with self.holding_made(data.name, parameters) as path:
            yield {"path": str(path), "builtin": data.name, "parameters": parameters}

    @contextmanager
    def _keeping(self, key: str) -> Iterator[Path]:
        with self._lock:
            self._used[key] += 1
        try:
            yield self._folder / key
        finally:
            with self._lock:
                self._used[key] -= 1
                if not self._used[key]:
                    del self._used[key]

    def _make_room(self) -> None:
        with self._lock:
            files = sorted((path for path in self._folder.iterdir() if path.is_file()), key=lambda p: p.stat().st_mtime)
            total = sum(path.stat().st_size for path in files)
            for path in files:
                if total <= self._max_bytes:
                    return
                if path.name not in self._used:
                    total -= path.stat().st_size
                    path.unlink()
