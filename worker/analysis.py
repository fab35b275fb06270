"""The process that computes analyses and experiments, apart from predictions: a slow landscape holds none of them up.

One JSON line in, the answer into a file, one line out. Forked by the zygote when there is something to compute.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

from core.engine import lab
from core.engine.analyses import Context, analyse
from core.errors import TooLarge
from core.spec.analysis_request import read_analysis
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec
from worker import posix, runner
from worker.prediction import Models
from worker.serving import serve

# what an answer may be before it is packed; a page that shows more would show nothing
MOST_BYTES = 64 * 1024**2
_MODELS = 4
# training and predictions are waited for more
_NICE = 5


def main(control: int, events: int) -> int:
    """Answers until the control pipe closes, then ends at once whatever it is doing."""
    posix.set_name("netmill-analyse")
    os.nice(_NICE)
    models = Models(_MODELS)

    def work(question: dict[str, Any]) -> dict[str, Any]:
        data = _experiment(question) if question["job"] is None else _analysis(question, models)
        text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
        if len(text) > MOST_BYTES:
            raise TooLarge(
                f"the answer has {len(text)} bytes, expected at most {MOST_BYTES}", hint="ask for fewer rows or points"
            )
        # without a time, so that the same answer is the same blob
        Path(question["out"]).write_bytes(gzip.compress(text, compresslevel=6, mtime=0))
        return {}

    return serve(control, events, work)


def _analysis(question: dict[str, Any], models: Models) -> dict[str, Any]:
    model = models.get(question["sha256"], Path(question["content"]))
    context = Context(
        model=model,
        spec=JobSpec.model_validate(question["spec"]),
        schema=DatasetSchema.model_validate(question["schema"]),
        data_path=_data_path(question),
        trajectory=tuple(Path(path) for path in question["trajectory"]),
        threads=question["threads"],
    )
    return analyse(read_analysis(question["request"]), context)


def _experiment(question: dict[str, Any]) -> dict[str, Any]:
    training = None
    data_path = _data_path(question)
    if question["spec"] is not None and data_path is not None:
        spec, schema = JobSpec.model_validate(question["spec"]), DatasetSchema.model_validate(question["schema"])
        training = lab.Training(spec, schema, data_path)
    return lab.experiment(question["type"], question["request"], training, threads=question["threads"])


def _data_path(question: dict[str, Any]) -> Path | None:
    """The data file; a built-in set is made at its first use."""
    # the process's own folder: `runner.settle` made it so
    return runner.data_path(question["data"], Path.cwd()) if question["data"] else None
