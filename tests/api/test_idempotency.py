"""The same key and request have one effect and one answer, whatever happens in between."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from api import replay
from core.db.session import transaction
from core.services import idempotency as keys
from core.services.principal import LOCAL
from tests.api.conftest import IRIS, Live

NEW_KEY = {"project": "keyed", "scopes": ["read"]}


def a_key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


def count(live: Live) -> int:
    return len(live.http.get("/v1/jobs", params={"limit": 200}).json()["data"])


def test_the_same_request_again_gets_the_same_answer(live: Live) -> None:
    key, before = a_key(), count(live)
    first, again = (live.http.post("/v1/jobs", json=IRIS, headers=key) for _ in range(2))
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert count(live) == before + 1


def test_another_body_or_call_with_the_key_is_422(live: Live) -> None:
    key = a_key()
    job_id = live.submit(**key)
    for path, body in (("/v1/jobs", {**IRIS, "name": "other"}), ("/v1/plan", IRIS), (f"/v1/jobs/{job_id}/clone", {})):
        answer = live.http.post(path, json=body, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "a b"])
def test_what_cannot_be_a_key_is_422(live: Live, key: str) -> None:
    assert live.http.post("/v1/jobs", json=IRIS, headers={"Idempotency-Key": key}).status_code == 422


def test_many_at_once_make_one_job(live: Live) -> None:
    key, before = a_key(), count(live)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: live.http.post("/v1/jobs", json=IRIS, headers=key), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert count(live) == before + 1


def test_a_refused_request_gives_its_key_back(live: Live) -> None:
    key = a_key()
    assert live.http.post("/v1/jobs", json={}, headers=key).status_code == 422
    assert live.http.post("/v1/jobs", json=IRIS, headers=key).status_code == 201


# a submission takes its key, holds its job and answers in one commit; other calls take their key in one before
@pytest.mark.parametrize(("path", "body", "commits"), [("/v1/jobs", IRIS, 1), ("/v1/keys", NEW_KEY, 2)])
def test_a_failed_commit_gives_the_key_back(live: Live, path: str, body: dict[str, Any], commits: int) -> None:
    key, failures = a_key(), []

    def fail_last(_: Any) -> None:
        failures.append(1)
        if len(failures) == commits:
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(live.parts.engine, "commit", fail_last)
    try:
        assert live.http.post(path, json=body, headers=key).status_code == 503
    finally:
        event.remove(live.parts.engine, "commit", fail_last)
    assert live.http.post(path, json=body, headers=key).status_code == 201


def test_while_the_first_is_under_way_the_second_waits_and_then_is_409(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "WAIT_S", 0.4)
    key = uuid4().hex
    with transaction(live.parts.sessions) as session:
        keys.begin(session, LOCAL, key, "somebody else's", ttl_s=60)
    with transaction(live.parts.sessions) as session:
        keys.abandon(session, LOCAL, key)
    request = keys.request_hash("POST", "/v1/plan?", b'{"a":1}')
    with transaction(live.parts.sessions) as session:
        assert isinstance(keys.begin(session, LOCAL, key, request, ttl_s=60), keys.Mine)
    start = time.monotonic()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    answer = live.http.post("/v1/plan", content=b'{"a":1}', headers=headers)
    assert answer.status_code == 409
    assert int(answer.headers["retry-after"]) >= 1
    assert 0.3 < time.monotonic() - start < 4


def test_every_post_takes_a_key_and_keeps_its_answer(live: Live) -> None:
    job_id = live.submit()
    live.finish(job_id)
    address = f"/v1/jobs/{job_id}"
    paused = f"/v1/jobs/{live.submit()}"
    live.http.post(f"{paused}/pause")
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "/v1/datasets": ("/v1/datasets?format=csv&name=keyed", {"content": b"a,b\n1,2\n"}),
        "/v1/plan": ("/v1/plan", {"json": IRIS}),
        "/v1/jobs": ("/v1/jobs", {"json": IRIS}),
        "/v1/jobs/{job_id}/pause": (f"/v1/jobs/{live.submit()}/pause", {}),
        "/v1/jobs/{job_id}/resume": (f"{paused}/resume", {}),
        "/v1/jobs/{job_id}/cancel": (f"/v1/jobs/{live.submit()}/cancel", {}),
        "/v1/jobs/{job_id}/clone": (f"{address}/clone", {"json": {}}),
        "/v1/jobs/{job_id}/continue": (f"{address}/continue", {"json": {"epochs": 1}}),
        "/v1/lab/optimizers": (
            "/v1/lab/optimizers?wait=0",
            {"json": {"surface": "beale", "steps": 5, "optimizers": ["adam"]}},
        ),
        "/v1/lab/activations": ("/v1/lab/activations?wait=0", {"json": {"activations": ["relu"]}}),
        "/v1/lab/init": ("/v1/lab/init?wait=0", {"json": {"combinations": [{"activation": "relu", "init": "he"}]}}),
        "/v1/keys": ("/v1/keys", {"json": {"project": "keyed", "scopes": ["read"]}}),
    }
    document = live.http.get("/openapi.json").json()
    posts = {path: call["post"] for path, call in document["paths"].items() if "post" in call}
    # both need a trained model: tests/api/test_predictions.py and test_analyses.py have them
    assert posts.keys() == calls.keys() | {"/v1/jobs/{job_id}/predict", "/v1/jobs/{job_id}/analyses"}
    for path, operation in posts.items():
        assert any(p["name"] == "Idempotency-Key" for p in operation["parameters"]), path
    for path, (target, body) in calls.items():
        key = a_key()
        first = live.http.post(target, headers=key, **body)
        assert first.status_code in (200, 201, 202), (path, first.text)
        again = live.http.post(target, headers=key, **body)
        assert again.status_code == first.status_code
        assert again.headers.get("idempotent-replayed") == "true", path
        if path != "/v1/keys":
            assert again.content == first.content, path
