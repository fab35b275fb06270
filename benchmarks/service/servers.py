"""The same application under uvicorn and under granian, in turn on the same machine."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from typing import Any

from benchmarks.service.house import House, house
from benchmarks.service.load import request
from benchmarks.service.polling import ROWS, Poller, asked

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
        for name, one in served.items():
            figures[name] = {"mib": round(one.pss_mib(), 1), "a page": [], "job and metrics": []}
        ping = request("GET", "/healthz")
        for _ in range(repeats):
            for name, one in served.items():
                figures[name]["a page"].append(asked(one, lambda _, __: ping, seconds))
                figures[name]["job and metrics"].append(asked(one, Poller(one.get, pages[name]), seconds))
    return figures


def _pages(one: House) -> list[str]:
    job_id = one.start(ROWS)
    return [f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/metrics"]
