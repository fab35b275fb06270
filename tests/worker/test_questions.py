"""Predictions and exports through a living worker."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from safetensors.numpy import load

from core.db.session import reading, transaction
from core.services import jobs, predictions
from core.services.principal import LOCAL
from tests.support.house import LONG, SHORT, House, WorkerProcess
from tests.support.service import wait_until

ROWS = [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
    {"sepal_length": 6.7, "sepal_width": 3.0, "petal_length": 5.2, "petal_width": 2.3},
]


@pytest.fixture(scope="module")
def trained(lived_in: tuple[House, WorkerProcess]) -> str:
    house, _ = lived_in
    job_id = house.submit({**SHORT, "training": {"epochs": 30}})
    house.until(job_id, "succeeded")
    return job_id


def put(house: House, job_id: str, request: dict[str, Any], kind: str = "predict") -> str:
    with transaction(house.sessions) as session:
        question = predictions.ask(session, LOCAL, job_id, kind=kind, checkpoint="best", request=request)  # type: ignore[arg-type]
    if question.status == "queued":
        house.queue.publish_predict(question.id)
    return str(question.id)


def answer(house: House, question_id: str, timeout_s: float = 20) -> Any:
    def there() -> Any:
        with reading(house.sessions) as session:
            view = predictions.get(session, LOCAL, question_id)
        return view if view.status in ("done", "failed") else None

    return wait_until(there, "an answer", timeout_s)


def feature_rows(house: House, job_id: str) -> list[dict[str, Any]]:
    """Rows with whatever the features are called."""
    names = house.job(job_id).spec["data"]["features"]
    return [dict(zip(names, row.values(), strict=True)) for row in ROWS]


def test_a_prediction_comes_quickly_once_the_model_is_loaded(
    lived_in: tuple[House, WorkerProcess], trained: str, record_property: Callable[[str, object], None]
) -> None:
    house, _ = lived_in
    rows = feature_rows(house, trained)
    view = answer(house, put(house, trained, {"rows": rows}))
    assert view.status == "done", view.error
    assert len(view.answer["data"]) == 2
    took = []
    for _ in range(15):
        began = time.perf_counter()
        answer(house, put(house, trained, {"rows": rows, "output": "probability"}))
        took.append(time.perf_counter() - began)
    record_property("prediction_ms", statistics.median(took) * 1000)
    assert statistics.median(took) < 0.25, took


def test_a_prediction_does_not_wait_for_the_training_slot(lived_in: tuple[House, WorkerProcess], trained: str) -> None:
    house, _ = lived_in
    job_id = house.submit({**LONG, "training": {**LONG["training"], "epochs": 2000}})
    house.until_epoch(job_id, 1)
    assert answer(house, put(house, trained, {"rows": feature_rows(house, trained)}), 5).status == "done"
    assert house.job(job_id).status == "running"
    house.ask(jobs.cancel, job_id)
    house.until(job_id, "cancelled", 10)


def test_a_bad_row_is_refused_with_its_place(lived_in: tuple[House, WorkerProcess], trained: str) -> None:
    house, _ = lived_in
    rows = feature_rows(house, trained)
    missing = min(rows[1])
    del rows[1][missing]
    view = answer(house, put(house, trained, {"rows": rows}))
    assert view.status == "failed"
    assert any(error["pointer"].startswith("/rows/1") for error in view.error["errors"]), view.error


def test_a_killed_prediction_process_is_replaced(lived_in: tuple[House, WorkerProcess], trained: str) -> None:
    house, worker = lived_in
    rows = {"rows": feature_rows(house, trained)}
    answer(house, put(house, trained, rows))
    first = worker.one("predict")
    os.kill(first, signal.SIGKILL)
    assert answer(house, put(house, trained, rows)).status == "done"
    assert worker.one("predict") != first


def test_a_prediction_process_that_hangs_is_killed_and_the_next_question_answered(
    lived_in: tuple[House, WorkerProcess], trained: str
) -> None:
    house, worker = lived_in
    rows = {"rows": feature_rows(house, trained)}
    answer(house, put(house, trained, rows))
    os.kill(worker.one("predict"), signal.SIGSTOP)
    view = answer(house, put(house, trained, rows))
    assert view.status == "failed"
    assert "too long" in view.error["detail"]
    assert answer(house, put(house, trained, rows)).status == "done"


def test_an_export_is_a_file_and_its_process_is_gone_afterwards(
    lived_in: tuple[House, WorkerProcess], trained: str
) -> None:
    house, worker = lived_in
    view = answer(house, put(house, trained, {"format": "safetensors"}, "export"), 30)
    assert view.status == "done", view.error
    assert load(b"".join(house.store.open_range(view.sha256)))
    wait_until(lambda: not worker.children("export"), "the end of the export process", 5)


def test_a_variational_autoencoder_answers_all_that_it_has(lived_in: tuple[House, WorkerProcess]) -> None:
    """Trained on one class, by a runner; asked for codes, errors and new rows through the worker."""
    house, _ = lived_in
    spec = {
        "data": {"dataset": "iris", "target": "label", "train_on": "setosa"},
        "network": {"family": "variational_autoencoder", "hidden": [8], "latent": 2},
        "training": {"epochs": 20},
    }
    job_id = house.submit({**SHORT, **spec})
    house.until(job_id, "succeeded")
    assert house.job(job_id).result["metrics"]["test.auc"] > 0.9
    rows = feature_rows(house, job_id)
    said = {
        output: answer(house, put(house, job_id, {"rows": rows, "output": output})).answer["data"]
        for output in ("encoding", "error", "reconstruction")
    }
    assert [len(code) for code in said["encoding"]] == [2, 2]
    assert said["error"][0] < said["error"][1]
    assert said["reconstruction"][0].keys() == rows[0].keys()
    drawn = [answer(house, put(house, job_id, {"output": "sample", "n": 3, "seed": seed})) for seed in (1, 1, 2)]
    first, again, other = (view.answer["data"] for view in drawn)
    assert len(first) == 3
    assert first == again
    assert first != other
