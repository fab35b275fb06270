"""A handle on one job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from rich.console import Console

from netmill.analysis import Analysis
from netmill.errors import JobFailedError, WaitTimeoutError
from netmill.files import save
from netmill.follow import show
from netmill.models import AnalysisState, Checkpoint, Event, JobError, JobState, Prediction, Progress, Result, Warned
from netmill.table import Table
from netmill.transport import Request, Transport, segment

# how long one request is held; the service allows 60
POLL_S = 30.0
PAGE_ROWS = 1000
# rows of one predict request; the service allows 10,000 and 16 MiB
PREDICT_ROWS = 2000

ExportFormat = Literal["safetensors", "onnx", "torch_export"]
Which = str


class Job:
    """One job: what was last heard of it in `state`, and what can be done with it."""

    def __init__(self, transport: Transport, state: JobState) -> None:
        self._transport = transport
        self.state = state

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.status}>"

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def name(self) -> str | None:
        return self.state.name

    @property
    def status(self) -> str:
        return self.state.status

    @property
    def terminal(self) -> bool:
        """True when it is over: succeeded, failed or cancelled."""
        return self.state.terminal

    @property
    def progress(self) -> Progress:
        return self.state.progress or Progress()

    @property
    def result(self) -> Result:
        return self.state.result or Result()

    @property
    def error(self) -> JobError | None:
        return self.state.error

    @property
    def warnings(self) -> list[Warned]:
        """What the plan, the data and the run itself gave reason to look at."""
        return self.state.warnings

    @property
    def spec(self) -> dict[str, Any]:
        """The spec with every default."""
        return self.state.spec

    def refresh(self, *, wait_s: float = 0.0) -> Self:
        """Asks anew; `wait_s` lets the service hold the answer until status or progress changes."""
        return self._took(self._transport.get(self._path(), wait_s=wait_s))

    def wait(self, timeout_s: float | None = None, *, check: bool = True) -> Self:
        """Returns when the job is over; raises JobFailedError when it failed (not with `check=False`).

        Raises WaitTimeoutError after `timeout_s`; the job itself goes on. A paused job is not over.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.terminal:
            left_s = POLL_S if end is None else end - time.monotonic()
            if left_s <= 0:
                raise WaitTimeoutError(f"{self.id} is still {self.status} after {timeout_s:g} s; it goes on")
            self.refresh(wait_s=min(POLL_S, max(0.1, left_s)))
        return self.check() if check else self

    def follow(self, console: Console | None = None, *, check: bool = True) -> Self:
        """As `wait`, with a live progress bar: epoch, losses, time left. Ctrl-C leaves the job running."""
        show(self, console or Console(stderr=True))
        return self.check() if check else self

    def check(self) -> Self:
        """Itself; raises JobFailedError when the job failed."""
        if self.status == "failed":
            error = self.error or JobError()
            raise JobFailedError(self.id, error.code, error.detail, error.pointer, error.hint)
        return self

    def metrics(self, *, max_points: int | None = None) -> Table:
        """The history as a table of columns: seq, epoch, step, time, train.loss, validation.loss, …

        `max_points` thins it out so that a plot keeps its extremes.
        """
        if max_points is not None:
            page = self._transport.get(f"{self._path()}/metrics", {"limit": PAGE_ROWS, "max_points": max_points})
            return Table.of_rows(page["data"])
        return Table.of_rows(self._pages("metrics", 0))

    def events(self, *, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """What happened, in order, from the event after number `after`; `follow` goes on until the job is over."""
        for row in self._pages("events", after, follow=follow):
            yield Event.of(row)

    def checkpoints(self) -> list[Checkpoint]:
        """What is stored of it, the newest first."""
        return [Checkpoint.of(row) for row in self._transport.get(f"{self._path()}/checkpoints")["data"]]

    def predict(
        self,
        rows: Sequence[Mapping[str, Any]] | None = None,
        *,
        inputs: Sequence[Any] | None = None,
        output: str = "prediction",
        checkpoint: Which = "best",
    ) -> Prediction:
        """Answers of the model for rows of a table, or for arrays in `inputs`; its own preprocessing is applied.

        `output` is prediction, probability, encoding, or of a reconstruction reconstruction and error;
        `checkpoint` is best, last or an id. Any number of rows: they are sent in pieces, all to one checkpoint.
        """
        if (rows is None) == (inputs is None):
            raise ValueError("give either rows (of a table) or inputs (arrays), one of the two")
        name, values = ("rows", rows) if rows is not None else ("inputs", inputs)
        assert values is not None
        data: list[Any] = []
        answer: dict[str, Any] = {}
        for start in range(0, max(1, len(values)), PREDICT_ROWS):
            body = {name: list(values[start : start + PREDICT_ROWS]), "checkpoint": checkpoint, "output": output}
            answer = self._transport.post(f"{self._path()}/predict", body)
            # a better checkpoint may appear between two pieces
            checkpoint = answer.get("checkpoint") or checkpoint
            data += answer["data"]
        return Prediction.of({**answer, "data": data})

    def sample(self, n: int = 1, *, seed: int = 0, checkpoint: Which = "best") -> Prediction:
        """`n` new samples of a variational autoencoder, in the units of its data; the same seed gives the same ones."""
        body = {"output": "sample", "n": n, "seed": seed, "checkpoint": checkpoint}
        return Prediction.of(self._transport.post(f"{self._path()}/predict", body))

    def export(self, path: str | Path, format: ExportFormat = "safetensors") -> Path:  # noqa: A002  # the API's name
        """Writes the model with its preprocessing and spec inside to the path; safetensors, onnx or torch_export."""
        return self._save(f"{self._path()}/export", Path(path), params={"format": format})

    def download(self, path: str | Path, checkpoint: Which = "best") -> Path:
        """Writes a checkpoint (best, last or an id) as a safetensors file, its sha256 checked."""
        return save_checkpoint(self._transport, self._checkpoint_id(checkpoint), Path(path))

    def plot(self, path: str | Path, *, layers: bool = False) -> Path:
        """Writes the learning curves as a picture, or with `layers` what monitor.layers recorded; .svg or .png."""
        target = Path(path)
        if target.suffix not in (".svg", ".png"):
            raise ValueError(f"a picture is .svg or .png, not {target.suffix or target.name!r}")
        return self._save(f"{self._path()}/{'layers' if layers else 'plot'}{target.suffix}", target)

    def analyse(
        self,
        type: str,  # noqa: A002  # the API's name
        *,
        checkpoint: Which = "best",
        timeout_s: float | None = None,
        **fields: Any,
    ) -> Analysis:
        """An analysis of a checkpoint, waited for: `job.analyse("roc").save("roc.svg")`; the fields are the type's.

        Raises AnalysisFailedError, InvalidError with every fault of the fields, WaitTimeoutError after `timeout_s`;
        with 0 it returns at once. The same is computed once.
        """
        body = {"type": type, "checkpoint": checkpoint, **fields}
        return Analysis.asked(self._transport, f"{self._path()}/analyses", body, timeout_s)

    def analyses(self) -> Iterator[Analysis]:
        """What was asked about it, the newest first, without data: `refresh` brings those of one."""
        cursor: str | None = None
        while True:
            page = self._transport.get(f"{self._path()}/analyses", {"limit": 200, "cursor": cursor})
            yield from (Analysis(self._transport, AnalysisState.of(row)) for row in page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def cancel(self) -> Self:
        """Asks it to stop for good; its work is kept in a checkpoint."""
        return self._took(self._transport.post(f"{self._path()}/cancel"))

    def pause(self) -> Self:
        """Asks it to stop; nothing is held until `resume`."""
        return self._took(self._transport.post(f"{self._path()}/pause"))

    def resume(self) -> Self:
        """Lets a paused job go on, bit for bit."""
        return self._took(self._transport.post(f"{self._path()}/resume"))

    def continue_(self, epochs: int) -> Self:
        """Trains a finished job for so many epochs more, from its last checkpoint."""
        return self._took(self._transport.post(f"{self._path()}/continue", {"epochs": epochs}))

    def change(
        self,
        *,
        lr: float | None = None,
        epochs: int | None = None,
        early_stopping: Mapping[str, Any] | Literal[False] | None = None,
    ) -> Self:
        """Changes what is named from the next step on, while the job is queued, running or paused.

        `early_stopping` is what shall change of it, False to have none. Raises ConflictError when the job is over, and
        InvalidError with every fault. Where it was made stands in `state.changes`.
        """
        training: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
        if early_stopping is not None:
            training["early_stopping"] = None if early_stopping is False else dict(early_stopping)
        patch: dict[str, Any] = {} if lr is None else {"optimizer": {"lr": lr}}
        return self._took(self._transport.patch(self._path(), patch | ({"training": training} if training else {})))

    def clone(self, patch: Mapping[str, Any] | None = None) -> Job:
        """A new job with this one's spec, changed by a JSON merge patch (RFC 7396)."""
        answer = self._transport.post(f"{self._path()}/clone", dict(patch or {}))
        return Job(self._transport, JobState.of(answer))

    def delete(self) -> None:
        """Deletes a finished job with all that it stored."""
        self._transport.delete(self._path())

    def _path(self) -> str:
        return f"/v1/jobs/{segment(self.id)}"

    def _took(self, answer: Any) -> Self:
        self.state = JobState.of(answer)
        return self

    def _pages(self, what: str, after: int, *, follow: bool = False) -> Iterator[dict[str, Any]]:
        while True:
            params = {"after": after, "limit": PAGE_ROWS}
            page = self._transport.get(f"{self._path()}/{what}", params, wait_s=POLL_S if follow else 0.0)
            yield from page["data"]
            moved, after = page["next_after"] > after, page["next_after"]
            if follow and not page["terminal"]:
                continue
            # the last page may have been cut off at its limit
            if not moved or len(page["data"]) < PAGE_ROWS:
                return

    def _checkpoint_id(self, which: Which) -> str:
        if which not in ("best", "last"):
            return which
        self.refresh()
        found = self.result.best_checkpoint if which == "best" else self.result.last_checkpoint
        if found is None:
            stored = self.checkpoints()
            marked = [one for one in stored if (one.is_best if which == "best" else one.is_last)] or stored
            found = marked[0].id if marked else None
        if found is None:
            raise LookupError(f"{self.id} has no checkpoint yet; it is {self.status}")
        return found

    def _save(self, path: str, target: Path, params: Mapping[str, str] | None = None) -> Path:
        with self._transport.open(Request("GET", path, params, stream=True)) as response:
            return save(response, target)


def save_checkpoint(transport: Transport, checkpoint_id: str, path: Path) -> Path:
    """Writes a checkpoint's file, its sha256 checked against what the service stored."""
    url = f"/v1/checkpoints/{segment(checkpoint_id)}"
    stored = Checkpoint.of(transport.get(url))
    with transport.open(Request("GET", f"{url}/content", stream=True)) as response:
        return save(response, path, stored.sha256)
