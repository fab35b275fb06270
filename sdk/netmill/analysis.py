"""A handle on an analysis of a checkpoint or on an experiment of the lab."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal, Self

from netmill.errors import AnalysisFailedError, WaitTimeoutError
from netmill.files import save
from netmill.models import AnalysisError, AnalysisState
from netmill.transport import Request, Transport

# how long one request is held; the service allows 60
POLL_S = 30.0
OVER = ("succeeded", "failed")


class Analysis:
    """What was last heard of it in `state`; its answer in `data`, its picture by `picture` and `save`."""

    def __init__(self, transport: Transport, state: AnalysisState) -> None:
        self._transport = transport
        self.state = state

    def __repr__(self) -> str:
        return f"<Analysis {self.id} {self.type} {self.status}>"

    @classmethod
    def asked(cls, transport: Transport, path: str, body: dict[str, Any], timeout_s: float | None) -> Self:
        """Asks at `path` and waits for the answer, at most `timeout_s`; with 0 it returns at once."""
        wait_s = POLL_S if timeout_s is None else min(POLL_S, max(0.0, timeout_s))
        began = time.monotonic()
        answer = transport.post(path, body, params={"wait": wait_s}, wait_s=wait_s)
        asked = cls(transport, AnalysisState.of(answer))
        if timeout_s == 0:
            return asked
        return asked.wait(None if timeout_s is None else max(0.0, timeout_s - (time.monotonic() - began)))

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def type(self) -> str:
        return self.state.type

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def over(self) -> bool:
        """True when it has succeeded or failed."""
        return self.status in OVER

    @property
    def data(self) -> dict[str, Any]:
        """The answer; empty until there is one."""
        return self.state.data or {}

    def refresh(self, *, wait_s: float = 0.0) -> Self:
        """Asks anew; `wait_s` lets the service hold the answer until it is over."""
        self.state = AnalysisState.of(self._transport.get(self._path(), wait_s=wait_s))
        return self

    def wait(self, timeout_s: float | None = None) -> Self:
        """Returns when it has succeeded; raises AnalysisFailedError, and WaitTimeoutError after `timeout_s`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.over:
            left_s = POLL_S if end is None else end - time.monotonic()
            if left_s <= 0:
                raise WaitTimeoutError(f"{self.id} is still {self.status} after {timeout_s:g} s; it goes on")
            self.refresh(wait_s=min(POLL_S, max(0.1, left_s)))
        if self.status == "failed":
            error = self.state.error or AnalysisError()
            raise AnalysisFailedError(self.id, error.code, error.detail, error.hint)
        return self

    def picture(self, kind: Literal["svg", "png"] = "svg") -> bytes:
        """The picture's bytes, once it has succeeded; an SVG may move."""
        with self._transport.open(Request("GET", f"{self._path()}.{kind}")) as response:
            return response.read()

    def save(self, path: str | Path) -> Path:
        """Writes the picture to the path, which ends in .svg or .png."""
        target = Path(path)
        if target.suffix not in (".svg", ".png"):
            raise ValueError(f"a picture is .svg or .png, not {target.suffix or target.name!r}")
        with self._transport.open(Request("GET", f"{self._path()}{target.suffix}", stream=True)) as response:
            return save(response, target)

    def delete(self) -> None:
        """Deletes it, which also stops it; an experiment of the lab goes by itself after a week."""
        self._transport.delete(self._path())

    def _path(self) -> str:
        return self.state.links["self"]
