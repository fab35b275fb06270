"""Whatever a client sends, the answer is a problem that a program can read, and never a 500."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from api.errors import STATUSES, status_of
from core import errors
from tests.api.conftest import IRIS, Live

DEEP = b'{"data":' * 500 + b"1" + b"}" * 500
BAD_BODIES = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": 1e400}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": 1, "a": 2}',
    b'{"name": "\\ud800"}',
    b'{"name": "\\u0000"}',
    b"\xff\xfe{}",
    DEEP,
    b"[" * 100_000,
    json.dumps({"a": list(range(20_000))}).encode(),
    json.dumps({**IRIS, "optimizer": {"type": "adam", "lr": "NaN"}}).encode(),
    json.dumps({**IRIS, "training": {"epochs": 10**30}}).encode(),
    json.dumps({**IRIS, "name": "x" * 100_000}).encode(),
    json.dumps({**IRIS, "tags": {"\n" * 5000: 1}}).encode(),
    json.dumps({**IRIS, "data": {"dataset": "../../etc/passwd"}}).encode(),
]
POSTS = (
    "/v1/jobs",
    "/v1/plan",
    "/v1/keys",
    "/v1/jobs/job_1/continue",
    "/v1/jobs/job_1/clone",
    "/v1/jobs/job_1/predict",
)


def is_problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = json.loads(answer.text, parse_constant=pytest.fail)
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail", "code"} <= body.keys()
    return body


@pytest.mark.parametrize("path", POSTS)
def test_no_body_breaks_a_post(live: Live, path: str) -> None:
    for body in BAD_BODIES:
        answer = live.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (body[:60], answer.text)
        is_problem(answer)


BAD_QUERIES = [
    "/v1/jobs?limit=0",
    "/v1/jobs?limit=NaN",
    "/v1/jobs?limit=99999999999999999999999",
    "/v1/jobs?status=done",
    "/v1/jobs?cursor=%27%3B--",
    "/v1/jobs?cursor=older",
    "/v1/datasets?cursor=older",
    "/v1/keys?cursor=older",
    "/v1/jobs?cursor=%F0%9F%92%A9",
    "/v1/jobs?tag=%00",
    "/v1/jobs/job_1?wait=nan",
    "/v1/jobs/job_1?wait=61",
    "/v1/jobs/job_1/metrics?after=-1",
    "/v1/jobs/job_1/metrics?after=1e3",
    "/v1/jobs/job_1/metrics?max_points=1",
    "/v1/jobs/job_1/events?limit=1001",
    "/v1/datasets/iris/preview?rows=0",
    "/v1/datasets/iris/preview?rows=201",
    "/v1/jobs/job_1/export?format=pickle",
]


@pytest.mark.parametrize("address", BAD_QUERIES)
def test_a_bad_parameter_is_named(live: Live, address: str) -> None:
    answer = live.http.get(address)
    assert answer.status_code == 422, answer.text
    is_problem(answer)


@pytest.mark.parametrize(
    ("address", "pointer", "code", "words"),
    [
        ("/v1/jobs?limit=999", "/query/limit", "out_of_range", 'received "999", expected a number up to 200; do'),
        ("/v1/jobs?limit=few", "/query/limit", "wrong_type", 'received "few", expected an integer; do'),
        ("/v1/jobs?status=quued", "/query/status", "unknown_value", "do write queued (did you mean it?)"),
        ("/v1/jobs/j/export?format=onx", "/query/format", "unknown_value", "do write onnx (did you mean it?)"),
    ],
)
def test_a_bad_parameter_is_explained(live: Live, address: str, pointer: str, code: str, words: str) -> None:
    [fault] = is_problem(live.http.get(address))["errors"]
    assert (fault["pointer"], fault["code"]) == (pointer, code)
    assert words in fault["detail"]


@pytest.mark.parametrize(
    ("path", "body", "pointer", "code", "words"),
    [
        ("/v1/jobs/j/continue", {"epochs": 0}, "/epochs", "out_of_range", "received 0, expected a number from 1"),
        ("/v1/jobs/j/continue", {"epochs": 1, "epoch": 2}, "/epoch", "unknown_field", "do write epochs (did you"),
        ("/v1/jobs/j/continue", {"epochs": 1, "seed": 2}, "/seed", "unknown_field", "do remove it"),
        ("/v1/jobs/j/predict", {"rows": [1]}, "/rows/0", "wrong_type", "received 1, expected an object"),
        ("/v1/jobs/j/predict", {}, "/rows", "rows_or_inputs", "received neither rows nor inputs, expected one of"),
        ("/v1/keys", {"project": "a/b", "scopes": ["read"]}, "/project", "out_of_range", "a text that matches"),
        ("/v1/keys", {"project": "a", "scopes": ["raed"]}, "/scopes/0", "unknown_value", "do write read (did you"),
        (
            "/v1/keys",
            {"project": "a", "scopes": ["read"], "expires_at": "soon"},
            "/expires_at",
            "wrong_type",
            "RFC 3339",
        ),
    ],
)
def test_a_small_body_is_explained_as_a_spec_is(
    live: Live, path: str, body: Any, pointer: str, code: str, words: str
) -> None:
    [fault] = is_problem(live.http.post(path, json=body))["errors"]
    assert (fault["pointer"], fault["code"]) == (pointer, code)
    assert words in fault["detail"]


def test_head_tells_what_get_would(live: Live) -> None:
    for path in ("/v1/jobs", "/v1/datasets/iris", "/v1/jobs/nope"):
        told, full = live.http.head(path), live.http.get(path)
        assert (told.status_code, told.content) == (full.status_code, b"")
        assert told.headers["content-length"] == full.headers["content-length"]
        assert told.headers.get("etag") == full.headers.get("etag")


@pytest.mark.parametrize(
    "path",
    ["/v1/jobs/nope", "/v1/jobs/%FF", "/v1/jobs/" + "x" * 99, "/v1/checkpoints/x", "/v1/datasets/none", "/v1/zoo/none"],
)
def test_what_is_not_there_is_404(live: Live, path: str) -> None:
    assert is_problem(live.http.get(path))["status"] == 404


def test_an_unknown_route_and_a_wrong_method_are_problems_too(live: Live) -> None:
    assert is_problem(live.http.get("/v2/nothing"))["code"] == "no_such_route"
    assert is_problem(live.http.get("/v1/jobs/"))["status"] == 404
    answer = live.http.put("/v1/jobs", json={})
    assert is_problem(answer)["code"] == "method_not_allowed"
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
def test_a_body_that_is_not_json_is_415_and_says_what_to_send(live: Live, kind: str) -> None:
    answer = live.http.post("/v1/jobs", content=b"{}", headers={"Content-Type": kind})
    assert is_problem(answer)["status"] == 415
    assert "application/json" in answer.text


def test_a_compressed_body_is_415(live: Live) -> None:
    answer = live.http.post("/v1/jobs", content=b"x", headers={"Content-Encoding": "gzip"})
    assert is_problem(answer)["status"] == 415


def test_a_long_body_is_413_before_it_is_read(live: Live) -> None:
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST /v1/jobs HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            "Content-Length: 999999999999\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_long_body_without_a_length_is_413(live: Live) -> None:
    def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    answer = live.http.post("/v1/jobs", content=pieces(), headers={"Content-Type": "application/json"})
    assert is_problem(answer)["status"] == 413


def test_all_faults_come_at_once_with_their_places(live: Live) -> None:
    spec = {
        "data": {"dataset": "iris", "target": "labell"},
        "network": {"layers": [{"type": "linear", "unit": 3}]},
        "optimizer": {"type": "adam", "lr": -1},
    }
    for path in ("/v1/jobs", "/v1/plan"):
        faults = is_problem(live.http.post(path, json=spec))["errors"]
        pointers = {fault["pointer"] for fault in faults}
        assert {"/data/target", "/optimizer/lr"} <= pointers
        assert any(pointer.startswith("/network/layers/0") for pointer in pointers)
        assert all(fault["code"] and fault["detail"] for fault in faults)


def test_a_request_id_is_taken_over_when_it_is_one(live: Live) -> None:
    assert live.http.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = live.http.get("/healthz", headers={"X-Request-ID": "a b{}"}).headers["x-request-id"]
    assert len(made) == 32


def test_a_failed_commit_is_never_a_201(live: Live) -> None:
    def fail(_: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    before = len(live.http.get("/v1/jobs", params={"limit": 200}).json()["data"])
    event.listen(live.parts.engine, "commit", fail)
    try:
        answer = live.http.post("/v1/jobs", json=IRIS)
    finally:
        event.remove(live.parts.engine, "commit", fail)
    assert is_problem(answer)["status"] == 503
    assert answer.headers["retry-after"]
    assert len(live.http.get("/v1/jobs", params={"limit": 200}).json()["data"]) == before


def test_a_bug_of_ours_is_a_problem_that_tells_no_secret(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the password is hunter2")

    job_id = live.submit()
    monkeypatch.setattr("api.routes.jobs.jobs.get", broken)
    answer = live.http.get(f"/v1/jobs/{job_id}")
    assert is_problem(answer)["code"] == "internal"
    assert "hunter2" not in answer.text


def test_every_kind_of_error_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NetmillError)]
    for kind in kinds:
        assert kind in STATUSES or kind is errors.NetmillError
    assert status_of(errors.Conflict("x", code="job_finished")) == 409
