"""Analyses and experiments over HTTP: asked once, waited for, listed, drawn, deleted."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from core.db.session import transaction
from core.engine.lab import experiment
from core.services import answering
from core.services.answering import Taken
from tests.api.conftest import Live

Answerer = Callable[[Taken], dict[str, Any]]
RACE: dict[str, Any] = {"surface": "ravine", "steps": 30, "optimizers": ["adam", {"type": "sgd", "lr": 0.01}]}
INIT: dict[str, Any] = {"combinations": [{"activation": "sigmoid", "init": "xavier"}], "depth": 5, "width": 8}
CONFUSION: dict[str, Any] = {
    "type": "confusion",
    "split": "test",
    "rows": 3,
    "of_rows": 3,
    "weighted": False,
    "normalize": "true",
    "classes": ["a", "b"],
    "accuracy": 2 / 3,
    "counts": [[1, 0], [1, 1]],
    "rates": [[1.0, 0.0], [0.5, 0.5]],
}


def confusion(_: Taken) -> dict[str, Any]:
    return CONFUSION


def compute(held: Taken) -> dict[str, Any]:
    return experiment(held.type, held.request, None)


@pytest.fixture(scope="module")
def address(live: Live) -> str:
    job_id = live.submit()
    live.finish(job_id)
    return f"/v1/jobs/{job_id}/analyses"


@contextmanager
def answering_all(live: Live, respond: Answerer, *, after_s: float = 0.0) -> Iterator[list[Taken]]:
    """A worker that answers everything with what `respond` returns until the block ends."""
    taken: list[Taken] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            with transaction(live.parts.sessions) as session:
                held = answering.take(session, live.parts.store, worker_id="test", lease_s=30)
            if held is None:
                over.wait(0.02)
                continue
            taken.append(held)
            time.sleep(after_s)
            told = respond(held)
            path = live.folder / uuid4().hex
            path.write_bytes(gzip.compress(json.dumps(told).encode(), mtime=0))
            with transaction(live.parts.sessions) as session:
                if "code" in told:
                    answering.refuse(session, live.parts.store, held, {"hint": None, "errors": [], **told})
                else:
                    answering.answer(session, live.parts.store, held, path)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def test_an_analysis_is_asked_waited_for_and_drawn(live: Live, address: str) -> None:
    with answering_all(live, confusion) as taken:
        answer = live.http.post(address, json={"type": "confusion"})
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert told["id"].startswith("ana_")
        assert (told["type"], told["status"], told["data"], told["error"]) == (
            "confusion",
            "succeeded",
            CONFUSION,
            None,
        )
        assert told["request"]["normalize"] == "true"
        assert address == f"/v1/jobs/{told['job']}/analyses"
        assert (
            told["checkpoint"] == live.http.get(address.removesuffix("/analyses")).json()["result"]["best_checkpoint"]
        )
        assert answer.headers["location"] == told["links"]["self"] == f"{address}/{told['id']}"
        again = live.http.post(address, json={"type": "confusion", "checkpoint": told["checkpoint"]})
    assert (again.status_code, again.json()) == (200, told)
    assert len(taken) == 1
    read = live.http.get(told["links"]["self"])
    assert read.json() == told
    assert live.http.get(told["links"]["self"], headers={"If-None-Match": read.headers["etag"]}).status_code == 304
    svg, png = live.http.get(told["links"]["svg"]), live.http.get(told["links"]["png"])
    assert (svg.headers["content-type"], png.headers["content-type"]) == ("image/svg+xml", "image/png")
    assert ET.fromstring(svg.content).tag.endswith("svg")
    assert png.content.startswith(b"\x89PNG")
    assert live.http.get(told["links"]["svg"]).content == svg.content
    assert live.http.get(told["links"]["svg"], headers={"If-None-Match": svg.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(("kind", "body"), [("optimizers", RACE), ("init", INIT)])
def test_an_experiment_is_carried_out_and_drawn(live: Live, kind: str, body: Any) -> None:
    with answering_all(live, compute):
        answer = live.http.post(f"/v1/lab/{kind}", json=body)
        assert answer.status_code == 201, answer.text
        assert live.http.post(f"/v1/lab/{kind}", json=body).status_code == 200
    told = answer.json()
    assert (told["job"], told["checkpoint"], told["type"], told["status"]) == (None, None, kind, "succeeded")
    assert live.http.get(told["links"]["self"]).json() == told
    svg = live.http.get(told["links"]["svg"])
    assert svg.status_code == 200
    assert len(svg.content) < 300_000
    ET.fromstring(svg.content)
    assert b"<script" not in svg.content
    assert (b"<animate " in svg.content) == (kind == "optimizers")
    assert svg.headers["content-security-policy"].startswith("default-src 'none'")
    assert live.http.get(told["links"]["png"]).content.startswith(b"\x89PNG")
    assert live.http.delete(told["links"]["self"]).status_code == 204
    assert live.http.get(told["links"]["self"]).status_code == 404


def test_a_wait_ends_with_the_answer(live: Live, address: str) -> None:
    start = time.monotonic()
    first = live.http.post(address, params={"wait": 0}, json={"type": "confusion", "seed": 1}).json()
    assert time.monotonic() - start < 3
    assert (first["status"], first["data"], first["finished_at"]) == ("queued", None, None)
    for kind in ("svg", "png"):
        early = live.http.get(first["links"][kind])
        assert (early.status_code, early.json()["code"]) == (409, "analysis_not_finished")
    assert live.http.get(first["links"]["self"], params={"wait": 0.2}).json()["status"] == "queued"
    with answering_all(live, confusion, after_s=0.5):
        start = time.monotonic()
        done = live.http.get(first["links"]["self"], params={"wait": 30}).json()
    assert done["status"] == "succeeded"
    assert 0.4 < time.monotonic() - start < 10


def test_one_that_failed_says_why_and_has_no_picture(live: Live, address: str) -> None:
    fault = {"pointer": "/layer", "code": "no_such_layer", "detail": "received 9, expected at most 2; do lower it"}
    error = {"code": "invalid", "detail": "no such layer", "hint": "lower it", "errors": [fault]}
    with answering_all(live, lambda _: error):
        told = live.http.post(address, json={"type": "filters", "layer": 9}).json()
    assert told["status"] == "failed"
    assert told["error"] == error
    picture = live.http.get(told["links"]["png"])
    assert (picture.status_code, picture.json()["code"]) == (409, "analysis_failed")
    assert "no such layer" in picture.json()["detail"]


def test_the_same_key_gets_the_same_answer(live: Live, address: str) -> None:
    body = {"type": "confusion", "seed": 2}
    key = {"Idempotency-Key": uuid4().hex}
    with answering_all(live, confusion):
        first = live.http.post(address, json=body, headers=key)
        again = live.http.post(address, json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert live.http.post(address, json={**body, "seed": 3}, headers=key).status_code == 422


def test_many_who_ask_the_same_wait_for_one_answer(live: Live, address: str) -> None:
    with answering_all(live, confusion, after_s=0.3) as taken, ThreadPoolExecutor(8) as threads:
        body = {"type": "confusion", "seed": 4}
        answers = list(threads.map(lambda _: live.http.post(address, json=body), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert all(answer.json()["status"] == "succeeded" for answer in answers)
    assert len(taken) == 1


def test_a_list_has_no_data_and_a_deleted_one_is_gone(live: Live) -> None:
    job_id = live.submit()
    live.finish(job_id)
    address = f"/v1/jobs/{job_id}/analyses"
    with answering_all(live, confusion):
        ids = [live.http.post(address, json={"type": "confusion", "seed": seed}).json()["id"] for seed in range(3)]
    page = live.http.get(address, params={"limit": 2}).json()
    assert [one["id"] for one in page["data"]] == ids[:0:-1]
    assert all(one["data"] is None for one in page["data"])
    rest = live.http.get(address, params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert ([one["id"] for one in rest["data"]], rest["next_cursor"]) == ([ids[0]], None)
    assert live.http.delete(f"{address}/{ids[0]}").status_code == 204
    assert live.http.get(f"{address}/{ids[0]}").status_code == 404
    assert live.http.delete(f"{address}/{ids[0]}").status_code == 404
    assert live.http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert live.http.get(f"{address}/{ids[1]}").status_code == 404


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/type"}),
        ({"type": "rok"}, {"/type"}),
        ({"type": "roc", "points": 1, "axis": "x"}, {"/points", "/axis"}),
        ({"type": "reconstructions"}, {"/type"}),
        ({"type": "loss_landscape", "directions": "trajectory"}, {"/directions"}),
        ([], {""}),
    ],
)
def test_a_bad_question_is_422_with_every_fault(live: Live, address: str, body: Any, pointers: set[str]) -> None:
    answer = live.http.post(address, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["pointer"] for error in answer.json()["errors"]} == pointers


@pytest.mark.parametrize(
    ("kind", "body", "pointers"),
    [
        ("optimizers", {"optimizers": ["adamm", {"type": "sgd", "lr": 0}]}, {"/optimizers/0", "/optimizers/1/lr"}),
        (
            "optimizers",
            {"optimizers": ["adam"], "network": {"layers": []}, "data": {"dataset": "no"}},
            {"/data/dataset"},
        ),
        ("init", {"combinations": [{"activation": "relu", "init": "xaver"}]}, {"/combinations/0/init"}),
    ],
)
def test_a_bad_experiment_is_422_with_every_fault(live: Live, kind: str, body: Any, pointers: set[str]) -> None:
    answer = live.http.post(f"/v1/lab/{kind}", json=body)
    assert answer.status_code == 422, answer.text
    assert {error["pointer"] for error in answer.json()["errors"]} == pointers


def test_what_is_not_there_is_404_and_what_cannot_be_yet_is_409(live: Live, address: str) -> None:
    assert live.http.post("/v1/jobs/job_none/analyses", json={"type": "filters"}).status_code == 404
    assert live.http.post(address, json={"type": "filters", "checkpoint": "ckpt_none"}).status_code == 404
    for path in (f"{address}/ana_none", f"{address}/ana_none.svg", "/v1/lab/ana_none", "/v1/lab/ana_none.png"):
        assert live.http.get(path).status_code == 404
    waiting = live.http.post(f"/v1/jobs/{live.submit()}/analyses", json={"type": "filters"})
    assert (waiting.status_code, waiting.json()["code"]) == (409, "no_checkpoint")
    with answering_all(live, confusion):
        told = live.http.post(address, json={"type": "confusion", "seed": 5}).json()
    assert live.http.get(f"/v1/lab/{told['id']}").status_code == 404, "an analysis is no experiment"


def test_too_many_at_once_is_429(live: Live) -> None:
    most = live.parts.limits.open_analyses
    asked = [{**RACE, "seed": 1000 + n} for n in range(most + 1)]
    answers = [live.http.post("/v1/lab/optimizers", params={"wait": 0}, json=body) for body in asked]
    assert [answer.status_code for answer in answers] == [201] * most + [429]
    assert answers[-1].json()["code"] == "too_many_analyses"
    assert int(answers[-1].headers["retry-after"]) > 0
    with answering_all(live, compute):
        last = live.http.get(answers[-2].json()["links"]["self"], params={"wait": 30}).json()
    assert last["status"] == "succeeded"


def test_another_project_sees_nothing(guarded: Live) -> None:
    job_id = guarded.submit()
    guarded.finish(job_id)
    address = f"/v1/jobs/{job_id}/analyses"
    mine = guarded.http.post(address, params={"wait": 0}, json={"type": "confusion"}).json()
    race = guarded.http.post("/v1/lab/optimizers", params={"wait": 0}, json=RACE).json()
    other = guarded.http.post("/v1/keys", json={"project": "other", "scopes": ["write"]}).json()
    reader = guarded.http.post("/v1/keys", json={"project": "default", "scopes": ["read"]}).json()
    theirs = {"Authorization": f"Bearer {other['key']}"}
    links = [*mine["links"].values(), *race["links"].values(), address]
    assert {guarded.http.get(link, headers=theirs).status_code for link in links} == {404}
    assert guarded.http.delete(mine["links"]["self"], headers=theirs).status_code == 404
    assert guarded.http.post(address, json={"type": "confusion"}, headers=theirs).status_code == 404
    reads = {"Authorization": f"Bearer {reader['key']}"}
    assert guarded.http.get(mine["links"]["self"], headers=reads).status_code == 200
    assert guarded.http.post(address, json={"type": "filters"}, headers=reads).status_code == 403
    assert guarded.http.post("/v1/lab/init", json=INIT, headers=reads).status_code == 403
    theirs_alone = guarded.http.post("/v1/lab/optimizers", params={"wait": 0}, json=RACE, headers=theirs).json()
    assert theirs_alone["id"] != race["id"]
