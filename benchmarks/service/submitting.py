"""Submissions of a small job by 16 keep-alive connections: each checked, committed and told to the broker."""

from __future__ import annotations

import itertools
import json
from typing import Any

from benchmarks.service.house import AUTHORIZED, DIGITS, House
from benchmarks.service.load import request
from benchmarks.service.polling import asked

CONNECTIONS = 16


def measure(house: House, seconds: float) -> dict[str, Any]:
    """Submissions, with and without an Idempotency-Key, and dry runs, which write nothing."""
    body = json.dumps(DIGITS).encode()
    plain = request("POST", "/v1/jobs", AUTHORIZED, body)
    plan = request("POST", "/v1/plan", AUTHORIZED, body)
    numbers = itertools.count()

    def keyed(_: int, __: bytes) -> bytes:
        return request("POST", "/v1/jobs", {**AUTHORIZED, "Idempotency-Key": f"once-{next(numbers)}"}, body)

    return {
        "submissions": asked(house, lambda _, __: plain, seconds, connections=CONNECTIONS),
        "submissions with a key": asked(house, keyed, seconds, connections=CONNECTIONS),
        "plans": asked(house, lambda _, __: plan, seconds, connections=CONNECTIONS),
    }
