"""The same application under uvicorn and under granian, in turn on the same machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from benchmarks.service.house import House, house
from benchmarks.service.load import request
from benchmarks.service.polling import ROWS, Poller, asked
from benchmarks.service.rounds import in_rounds

_GRANIAN = (
    *("-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--http", "1", "--no-ws", "--workers", "1"),
    *("--no-log", "--port", "{port}", "--factory", "benchmarks.service.under_granian:make"),
)
SERVERS = {"uvicorn": ("-m", "api"), "granian": _GRANIAN}


def measure(kind: str, seconds: float, repeats: int) -> dict[str, Any]:
    """Requests a second and tails of a page that asks for nothing, and of a job with its metrics, for each server.

    Granian is no part of Netmill: where it is not installed (`pip install granian`) it is left out.
    """
    known = {name: command for name, command in SERVERS.items() if importlib.util.find_spec(name)}
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        served = {name: stack.enter_context(house(kind, command=command)) for name, command in known.items()}
        pages = {name: _pages(one) for name, one in served.items()}
        ping = request("GET", "/healthz")
        loads: dict[str, Callable[[], dict[str, Any]]] = {}
        for name, one in served.items():
            figures[name] = {"mib": round(one.pss_mib(), 1)}
            loads[f"{name}: a page"] = partial(asked, one, lambda _, __: ping, seconds)
            loads[f"{name}: job and metrics"] = partial(asked, one, Poller(one.get, pages[name]), seconds)
        figures |= in_rounds(loads, repeats)
    return figures


def _pages(one: House) -> list[str]:
    job_id = one.start(ROWS)
    return [f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/metrics"]
