"""Predictions and exports: a question in the database, and a worker's answer to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.db.session import transaction
from core.services import predictions
from core.services.predictions import Taken
from tests.api.conftest import Live

Answerer = Callable[[Any, Taken], None]


@pytest.fixture(scope="module")
def address(live: Live) -> str:
    job_id = live.submit()
    live.finish(job_id)
    return f"/v1/jobs/{job_id}"


@contextmanager
def answering(live: Live, respond: Answerer) -> Iterator[list[Taken]]:
    """A worker that answers every question with `respond` until the block ends."""
    taken: list[Taken] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            with transaction(live.parts.sessions) as session:
                for question in predictions.take(session, worker_id="test"):
                    taken.append(question)
                    respond(session, question)
            over.wait(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def test_a_prediction_comes_back_in_order(live: Live, address: str) -> None:
    def respond(session: Any, question: Taken) -> None:
        rows = [row["x"] for row in question.request["rows"]]
        said = {"output": question.request["output"], "classes": ["a", "b"], "data": rows}
        predictions.answer(session, live.parts.store, question.id, "test", answer=said)

    with answering(live, respond) as taken:
        start = time.monotonic()
        answer = live.http.post(f"{address}/predict", json={"rows": [{"x": 1}, {"x": 2}]})
        assert time.monotonic() - start < 5
        checkpoint = live.http.get(address).json()["result"]["best_checkpoint"]
        said = {"checkpoint": checkpoint, "output": "prediction", "classes": ["a", "b"], "data": [1, 2]}
        assert (answer.status_code, answer.json()) == (200, said)
        key = {"Idempotency-Key": "predict-once"}
        first, again = (live.http.post(f"{address}/predict", json={"rows": [{"x": 1}]}, headers=key) for _ in "ab")
        assert again.content == first.content
    assert len(taken) == 2


def test_what_the_model_cannot_take_is_422_with_its_place(live: Live, address: str) -> None:
    def respond(session: Any, question: Taken) -> None:
        faults = [{"pointer": "/rows/0/age", "code": "missing", "detail": "received no age, expected a number"}]
        predictions.refuse(
            session, question.id, "test", code="invalid", detail="bad rows", kind="invalid", errors=faults
        )

    with answering(live, respond):
        answer = live.http.post(f"{address}/predict", json={"rows": [{}]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/rows/0/age"


@pytest.mark.parametrize(("code", "status"), [("internal", 500), ("out_of_memory", 413), ("no_answer", 503)])
def test_only_what_may_pass_asks_to_come_back(live: Live, address: str, code: str, status: int) -> None:
    def respond(session: Any, question: Taken) -> None:
        predictions.refuse(session, question.id, "test", code=code, detail="it went wrong")

    with answering(live, respond):
        answer = live.http.post(f"{address}/predict", json={"rows": [{"x": 1}]})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_without_a_worker_it_is_503_and_nothing_stays_behind(live: Live, address: str) -> None:
    start = time.monotonic()
    answer = live.http.post(f"{address}/predict", json={"inputs": [[1, 2, 3, 4]]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert 0.9 < time.monotonic() - start < 5
    with transaction(live.parts.sessions) as session:
        assert not predictions.take(session, worker_id="late")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"rows": [{}], "inputs": [[1]]}, 422),
        ({"rows": [1]}, 422),
        ({"rows": {}}, 422),
        ({"rows": [{}], "output": "poem"}, 422),
        ({"rows": [{}], "checkpoint": "ckpt_none"}, 404),
        ({"rows": [{}], "colour": 1}, 422),
        ({"rows": [{}] * 10_001}, 413),
    ],
)
def test_a_question_that_is_none(live: Live, address: str, body: dict[str, Any], status: int) -> None:
    answer = live.http.post(f"{address}/predict", json=body)
    assert answer.status_code == status, answer.text


def test_a_predict_body_may_be_longer_than_a_spec_but_not_endless(live: Live, address: str) -> None:
    rows = {"inputs": [[0.123456789] * 200] * 1000}
    assert len(json.dumps(rows)) > live.parts.limits.spec_bytes
    assert live.http.post(f"{address}/predict", json=rows).status_code == 503
    long = b'{"inputs": [' + b" " * live.parts.limits.predict_bytes + b"]}"
    assert live.http.post(f"{address}/predict", content=long).status_code == 413


def test_an_export_is_made_once_and_then_served_from_the_store(live: Live, address: str) -> None:
    path = live.folder / "model.onnx"
    path.write_bytes(b"onnx" * 1000)

    def respond(session: Any, question: Taken) -> None:
        predictions.answer(session, live.parts.store, question.id, "test", path=path)

    with answering(live, respond) as taken:
        first, again = (live.http.get(f"{address}/export", params={"format": "onnx"}) for _ in range(2))
    assert first.content == again.content == path.read_bytes()
    assert [question.kind for question in taken] == ["export"]
    assert first.headers["content-disposition"].endswith('.onnx"')
    part = live.http.get(f"{address}/export", params={"format": "onnx"}, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"onnx")


def test_a_job_without_a_checkpoint_has_nothing_to_ask(live: Live) -> None:
    job = f"/v1/jobs/{live.submit()}"
    assert live.http.post(f"{job}/predict", json={"rows": [{}]}).status_code == 409
    assert live.http.get(f"{job}/export").status_code == 409


def test_samples_need_no_rows(live: Live, address: str) -> None:
    def respond(session: Any, question: Taken) -> None:
        said = {"output": "sample", "classes": None, "data": [[0.5]] * question.request["n"]}
        predictions.answer(session, live.parts.store, question.id, "test", answer=said)

    with answering(live, respond) as taken:
        answer = live.http.post(f"{address}/predict", json={"output": "sample", "n": 3, "seed": 7})
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 3
    assert taken[0].request == {"output": "sample", "n": 3, "seed": 7}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"output": "error"}, "/rows"),
        ({"output": "error", "rows": [{}], "n": 2}, "/n"),
        ({"rows": [{}], "seed": 2}, "/seed"),
        ({"output": "sample", "n": 2, "rows": [{}]}, "/rows"),
        ({"output": "sample", "n": 0}, "/n"),
    ],
)
def test_what_samples_and_rows_do_not_share(live: Live, address: str, body: dict[str, Any], pointer: str) -> None:
    answer = live.http.post(f"{address}/predict", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_too_many_samples(live: Live, address: str) -> None:
    answer = live.http.post(f"{address}/predict", json={"output": "sample", "n": 10**9})
    assert answer.status_code == 413
