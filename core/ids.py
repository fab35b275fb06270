"""Ids that say what they name and sort by the time they were made."""

from __future__ import annotations

import os
import threading
import time

JOB = "job"
DATASET = "ds"
CHECKPOINT = "ckpt"
KEY = "key"
PREDICTION = "pred"
ANALYSIS = "ana"


class _Counter:
    """The last (millisecond, counter) handed out: each next one is greater, whatever thread asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = (0, 0)

    def next(self) -> tuple[int, int]:
        with self._lock:
            millis = time.time_ns() // 1_000_000
            last_millis, counter = self._last
            if millis > last_millis:
                counter = int.from_bytes(os.urandom(2), "big") & 0x7FF
            else:
                millis, counter = last_millis, counter + 1
                if counter > 0xFFF:
                    millis, counter = millis + 1, 0
            self._last = (millis, counter)
            return self._last


_counter = _Counter()


def uuid7_hex() -> str:
    """A UUIDv7 (RFC 9562) as 32 hex digits; within one process each is greater than the one before."""
    millis, counter = _counter.next()
    tail = (int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)) | (0b10 << 62)
    return f"{(millis << 80) | (7 << 76) | (counter << 64) | tail:032x}"


def new_id(prefix: str) -> str:
    """A new id, such as `job_0193a…`; ids of one prefix sort by the time they were made."""
    return f"{prefix}_{uuid7_hex()}"
