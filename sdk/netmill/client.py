"""The client: one service, one key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from netmill.analysis import Analysis
from netmill.files import OnBytes, chunks_of, format_of, save, stem_of
from netmill.job import Job, save_checkpoint
from netmill.models import AnalysisState, Dataset, JobState, Plan
from netmill.retry import RetryPolicy
from netmill.transport import Request, Transport, new_key, segment
from netmill.version import __version__

DEFAULT_URL = "http://127.0.0.1:8000"

Spec = Mapping[str, Any]


class Client:
    """Talks to the service at `url` (else NETMILL_URL, else http://127.0.0.1:8000) with `key` (else NETMILL_KEY).

    `timeout_s` is how long one answer may take beyond what it is asked to wait for. Safe to share between threads.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._transport = Transport(
            url or os.environ.get("NETMILL_URL") or DEFAULT_URL,
            key or os.environ.get("NETMILL_KEY") or None,
            timeout_s,
            retry or RetryPolicy(),
            __version__,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connections."""
        self._transport.close()

    @property
    def url(self) -> str:
        return self._transport.url

    def train(self, spec: Spec, *, idempotency_key: str | None = None) -> Job:
        """Submits a job and returns its handle at once; a lost answer is asked for again and never trains twice.

        Raises InvalidError with every fault of the spec. Your own `idempotency_key` makes that hold across processes.
        """
        return self._job(self._transport.post("/v1/jobs", dict(spec), key=idempotency_key))

    def plan(self, spec: Spec) -> Plan:
        """What the spec would train: layers, shapes, parameters, memory, time; raises InvalidError as `train` does."""
        return Plan.of(self._transport.post("/v1/plan", dict(spec)))

    def job(self, job_id: str) -> Job:
        """A handle on a job; raises NotFoundError."""
        return self._job(self._transport.get(f"/v1/jobs/{segment(job_id)}"))

    def jobs(
        self,
        *,
        status: str | None = None,
        tag: str | None = None,
        dataset: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Jobs, the newest first, all or `limit` of them; `tag` is `name` or `name=value`."""
        for row in self._list("/v1/jobs", limit, {"status": status, "tag": tag, "dataset": dataset}):
            yield self._job(row)

    def upload(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        format: str | None = None,  # noqa: A002  # the API's name
        on_bytes: OnBytes | None = None,
        **parts: str | Sequence[str] | None,
    ) -> Dataset:
        """Stores a file (csv, parquet, npz, npy, root or hdf5, also gzipped); the same content is stored once.

        The file is streamed. Name and format follow from the file's name unless given; `on_bytes(sent, total)` is
        called as it goes. `parts` say what of the file is meant, one name or several: `tree` and `label` of a ROOT
        file, `x`, `y`, `weight`, `split`, `table`, `label` of HDF5, `channels="last"` of images.
        """
        file = Path(path)
        params = {"name": name or stem_of(file), "format": format or format_of(file), **parts}
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        request = Request(
            "POST", "/v1/datasets", params, lambda: chunks_of(file, on_bytes), headers, new_key(), wait_s=600.0
        )
        return Dataset.of(self._transport.json(request))

    def datasets(self, *, limit: int | None = None) -> Iterator[Dataset]:
        """Data sets, the built-in ones included."""
        for row in self._list("/v1/datasets", limit, {}):
            yield Dataset.of(row)

    def dataset(self, id_or_name: str) -> Dataset:
        """One data set; raises NotFoundError."""
        return Dataset.of(self._transport.get(f"/v1/datasets/{segment(id_or_name)}"))

    def preview(self, id_or_name: str, rows: int = 10) -> list[dict[str, Any]]:
        """The first rows of a data set."""
        return list(self._transport.get(f"/v1/datasets/{segment(id_or_name)}/preview", {"rows": rows})["data"])

    def delete_dataset(self, dataset_id: str) -> None:
        """Deletes a data set; raises ConflictError while a job that is not finished uses it."""
        self._transport.delete(f"/v1/datasets/{segment(dataset_id)}")

    def download(self, checkpoint_id: str, path: str | Path) -> Path:
        """Writes a checkpoint's safetensors file to the path, its sha256 checked."""
        return save_checkpoint(self._transport, checkpoint_id, Path(path))

    def zoo(self) -> list[dict[str, Any]]:
        """Ready job specs, each with what it teaches."""
        answer = self._transport.get("/v1/zoo")
        return list(answer["data"] if isinstance(answer, dict) else answer)

    def zoo_spec(self, name: str) -> dict[str, Any]:
        """One ready job spec, to be given to `train`; raises NotFoundError."""
        answer = dict(self._transport.get(f"/v1/zoo/{segment(name)}"))
        return dict(answer.get("spec", answer))

    def zoo_picture(self, name: str, path: str | Path) -> Path:
        """Writes what the service drew of that spec, a PNG, to the path; raises NotFoundError."""
        with self._transport.open(Request("GET", f"/v1/zoo/{segment(name)}.png", stream=True)) as response:
            return save(response, Path(path))

    def lab_optimizers(
        self, optimizers: Sequence[str | Mapping[str, Any]], *, timeout_s: float | None = None, **fields: Any
    ) -> Analysis:
        """Optimizers side by side on a `surface`, or on a `network` with its `data`; waited for as `Job.analyse` does.

        `client.lab_optimizers(["adam", {"type": "sgd", "lr": 0.01}], surface="ravine").save("ravine.svg")`
        """
        return Analysis.asked(
            self._transport, "/v1/lab/optimizers", {"optimizers": list(optimizers), **fields}, timeout_s
        )

    def lab_init(
        self, combinations: Sequence[Mapping[str, Any]], *, timeout_s: float | None = None, **fields: Any
    ) -> Analysis:
        """What becomes of activations and gradients through many layers before training; waited for as `Job.analyse`.

        `client.lab_init([{"activation": "relu", "init": "he"}], depth=50).save("init.svg")`
        """
        return Analysis.asked(
            self._transport, "/v1/lab/init", {"combinations": list(combinations), **fields}, timeout_s
        )

    def lab_activations(
        self, activations: Sequence[str | Mapping[str, Any]], *, timeout_s: float | None = None, **fields: Any
    ) -> Analysis:
        """Activations and their derivatives over a range of z; waited for as `Job.analyse` does.

        `client.lab_activations(["sigmoid", "tanh", "relu"], low=-4, high=4).save("activations.svg")`
        """
        return Analysis.asked(
            self._transport, "/v1/lab/activations", {"activations": list(activations), **fields}, timeout_s
        )

    def experiment(self, experiment_id: str) -> Analysis:
        """A handle on an experiment of the lab; raises NotFoundError."""
        return Analysis(self._transport, AnalysisState.of(self._transport.get(f"/v1/lab/{segment(experiment_id)}")))

    def catalog(self) -> dict[str, Any]:
        """Every layer, activation, init, loss, metric, optimizer, schedule and family with its parameters."""
        return dict(self._transport.get("/v1/catalog"))

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a job spec."""
        return dict(self._transport.get("/v1/schema"))

    def _job(self, answer: Any) -> Job:
        return Job(self._transport, JobState.of(answer))

    def _list(self, path: str, limit: int | None, filters: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            page = self._transport.get(path, {**filters, "limit": min(200, left or 200), "cursor": cursor})
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["data"])
