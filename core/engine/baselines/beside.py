"""Baselines beside a run: a child process fits them while the network trains; their failure is told, no more.

Nothing of them is in a checkpoint. They are a pure function of spec and data (but for their times), so a run that goes
on after a stop or a death fits them again, and the result is committed once, with the run's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from core.events import Event, Finished, Log, Progress, Stopped
from core.spec.baselines import Baseline
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from core.states import StopReason

# for all of a run's baselines together, when the run itself has no limit
LIMIT_S = 600.0
_ROOT = Path(__file__).resolve().parents[3]
_POLL_S = 0.02
_SIGN_OF_LIFE_S = 1.0


def with_baselines(
    events: Iterator[Event], others: Baselines, should_stop: Callable[[], StopReason | None]
) -> Iterator[Event]:
    """The run's events, a Log for each baseline as it is done, and all of them in Finished, which waits for them."""
    at = Progress(0, 0, 0, 0, None, None)
    with others:
        for event in events:
            yield from others.news()
            if isinstance(event, Progress):
                at = event
            if isinstance(event, Finished):
                reason = yield from _wait(others, at, should_stop)
                if reason is not None:
                    # the network's last checkpoint is written: whoever goes on from it comes here again
                    yield Stopped(reason.value, at.epoch, at.step)
                    return
                event = replace(event, baselines=others.results)  # noqa: PLW2901 - the same event, completed
            yield event


def _wait(
    others: Baselines, at: Progress, should_stop: Callable[[], StopReason | None]
) -> Generator[Event, None, StopReason | None]:
    """Until all are done, with signs of life; why the run is to stop, if it is."""
    heard = time.monotonic()
    while not others.are_done:
        if (reason := should_stop()) is not None:
            return reason
        yield from others.news()
        if time.monotonic() - heard > _SIGN_OF_LIFE_S:
            heard = time.monotonic()
            yield at
        time.sleep(_POLL_S)
    yield from others.news()
    return None


class Baselines:
    """The baselines of a run; a context that leaves no process behind.

    One child fits them in turn. Each has its share of the time that is left; one that takes longer or takes the child
    down with it is told as an error, and a new child goes on with those behind it.
    """

    def __init__(self, spec: JobSpec, schema: DatasetSchema, data_path: Path, workdir: Path, threads: int) -> None:
        self.results: dict[str, Any] = {}
        self._request = {
            "spec": spec.model_dump(mode="json"),
            "schema": schema.model_dump(mode="json"),
            "data_path": str(data_path.resolve()),
            "threads": threads,
        }
        self._waiting: list[Baseline] = list(spec.baselines)
        self._workdir = workdir
        self._child: subprocess.Popen[bytes] | None = None
        self._answers: BinaryIO | None = None
        self._end = time.monotonic() + (spec.training.time_limit_s or LIMIT_S)
        self._deadline = self._end

    @property
    def are_done(self) -> bool:
        return not self._waiting

    def news(self) -> Iterator[Log]:
        """What has been fitted or has failed since."""
        if not self._waiting:
            return
        if self._child is None:
            self._begin()
            return
        # asked first: what a child wrote before its end is then there to be read
        status, late = self._child.poll(), time.monotonic() > self._deadline
        yield from self._answered()
        if self._waiting and (status is not None or late):
            yield self._done(self._waiting[0], _failure(status))
            self._leave()

    def _answered(self) -> Iterator[Log]:
        assert self._answers is not None
        while self._waiting:
            place = self._answers.tell()
            line = self._answers.readline()
            if not line.endswith(b"\n"):
                self._answers.seek(place)
                return
            yield self._done(self._waiting[0], json.loads(line))

    def _done(self, name: Baseline, result: dict[str, Any]) -> Log:
        self.results[name] = result
        self._waiting.remove(name)
        self._share_time()
        if not self._waiting:
            self._leave()
        return Log(f"baseline {name}: {_told(result)}")

    def _share_time(self) -> None:
        now = time.monotonic()
        self._deadline = now + max(0.0, self._end - now) / max(1, len(self._waiting))

    def _begin(self) -> None:
        # files and not pipes: an answer must not wait for somebody to read it
        asked, answers = (self._workdir / f"baselines.{kind}" for kind in ("request", "answers"))
        asked.write_text(json.dumps({**self._request, "names": self._waiting, "parent": os.getpid()}))
        with asked.open("rb") as given, answers.open("wb") as out:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "core.engine.baselines.child"],
                stdin=given,
                stdout=out,
                cwd=self._workdir,
                env=self._environment(),
            )
        self._answers = answers.open("rb")
        self._share_time()

    def _leave(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
        if self._answers is not None:
            self._answers.close()
            self._answers = None

    def _environment(self) -> dict[str, str]:
        """Nothing of ours but the way to the code; as many threads as the run has."""
        threads = str(self._request["threads"])
        return {
            "PYTHONPATH": str(_ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self._workdir),
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()


def _failure(status: int | None) -> dict[str, Any]:
    """What became of a child without an answer; None when it still runs."""
    if status is None:
        return _error("time_limit", "it took longer than its share of the time that a run's baselines have together")
    if status == -signal.SIGKILL:
        return _error("out_of_memory", "its process was killed, most likely for want of memory")
    return _error("crashed", f"its process ended with status {status}")


def _error(code: str, detail: str) -> dict[str, Any]:
    return {"error": {"code": code, "detail": detail}}


def _told(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"failed, {result['error']['detail']}"
    took = f"{result['time_s']:.3g} s"
    for name, value in result["metrics"].items():
        if name.startswith("test.") and value is not None:
            return f"{name} {value:.4g} in {took}"
    return f"done in {took}"
