"""Submissions of a small job by 16 keep-alive connections, each checked, committed and told to the broker."""

from __future__ import annotations

import itertools
import json
from functools import partial
from typing import Any

from benchmarks.service.house import AUTHORIZED, DIGITS, House
from benchmarks.service.load import Next, request
from benchmarks.service.polling import asked
from benchmarks.service.rounds import in_rounds


def measure(house: House, seconds: float, repeats: int) -> dict[str, Any]:
    """Submissions, with and without an Idempotency-Key, and dry runs, which write nothing."""
    body = json.dumps(DIGITS).encode()
    plain = request("POST", "/v1/jobs", AUTHORIZED, body)
    plan = request("POST", "/v1/plan", AUTHORIZED, body)
    numbers = itertools.count()

    def keyed(_: int, __: bytes) -> bytes:
        return request("POST", "/v1/jobs", {**AUTHORIZED, "Idempotency-Key": f"once-{next(numbers)}"}, body)

    loads: dict[str, Next] = {
        "submissions": lambda _, __: plain,
        "submissions with a key": keyed,
        "plans": lambda _, __: plan,
    }
    return in_rounds({name: partial(asked, house, one, seconds) for name, one in loads.items()}, repeats)
