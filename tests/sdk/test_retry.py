"""What is sent again, how often, after how long, and never twice with effect."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from netmill import (
    ApiError,
    Client,
    ConflictError,
    ConnectionFailed,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TimedOut,
    TransportError,
    UnavailableError,
)
from netmill.retry import retry_after_s
from tests.sdk.conftest import QUICK, Reply, Script, job_body, problem

BUSY = Reply(503, problem(503, "unavailable"))
SPEC: dict[str, Any] = {"data": {"dataset": "digits"}, "network": {"family": "perceptron"}}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_repeated_until_it_is_answered(script: Script, status: int) -> None:
    script.play(Reply(status, problem(status, "x")), Reply(status, problem(status, "x")), Reply(200, job_body()))
    assert script.client().job("job_1").status == "queued"
    assert len(script.seen) == 3


@pytest.mark.parametrize("fault", [Reply(cut=True), Reply(200, job_body(), cut=True)], ids=["no_answer", "half"])
def test_a_broken_connection_is_tried_again(script: Script, fault: Reply) -> None:
    script.play(fault, Reply(200, job_body()))
    assert script.client().job("job_1").id == "job_1"
    script.play(fault)
    with pytest.raises(TransportError, match="broke"):
        script.client().job("job_1")


def test_a_submit_keeps_one_key_over_all_attempts(script: Script) -> None:
    script.play(Reply(cut=True), BUSY, Reply(201, job_body()), Reply(201, job_body(id="job_2")))
    client = script.client()
    client.train(SPEC)
    client.train(SPEC)
    keys = [seen.headers["Idempotency-Key"] for seen in script.seen]
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert {seen.body for seen in script.seen} == {script.seen[0].body}


def test_ones_own_key_is_sent(script: Script) -> None:
    script.play(Reply(201, job_body()))
    script.client().train(SPEC, idempotency_key="experiment-7")
    assert script.seen[0].headers["Idempotency-Key"] == "experiment-7"


def test_every_post_has_a_key(script: Script) -> None:
    script.play(Reply(200, job_body()))
    job = script.client().job("job_1")
    for act in (job.cancel, job.pause, job.resume, lambda: job.continue_(3), lambda: job.clone({"name": "b"})):
        act()
    posts = [seen for seen in script.seen if seen.method == "POST"]
    assert len({seen.headers["Idempotency-Key"] for seen in posts}) == len(posts) == 5


def test_the_first_still_under_way_is_waited_for(script: Script) -> None:
    under_way = Reply(409, problem(409, "in_progress"), {"Retry-After": "0"})
    script.play(under_way, Reply(201, job_body()))
    assert script.client().train(SPEC).id == "job_1"


def test_any_other_conflict_is_an_answer(script: Script) -> None:
    script.play(Reply(409, problem(409, "conflict")))
    with pytest.raises(ConflictError):
        script.client().train(SPEC)
    assert len(script.seen) == 1


def test_a_delete_is_not_repeated(script: Script) -> None:
    script.play(Reply(200, job_body()), BUSY)
    job = script.client().job("job_1")
    with pytest.raises(UnavailableError):
        job.delete()
    assert [seen.method for seen in script.seen] == ["GET", "DELETE"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422, 500])
def test_what_would_be_answered_the_same_is_not_repeated(script: Script, status: int) -> None:
    script.play(Reply(status, problem(status, "x")))
    with pytest.raises(ApiError):
        script.client().job("job_1")
    assert len(script.seen) == 1


def test_it_ends_with_the_last_error(script: Script) -> None:
    script.play(BUSY)
    with pytest.raises(UnavailableError, match="unavailable"):
        script.client().job("job_1")
    assert len(script.seen) == 1 + QUICK.retries
    assert issubclass(UnavailableError, ServerError)


def test_retry_after_is_obeyed(script: Script) -> None:
    script.play(Reply(429, problem(429, "quota_exceeded"), {"Retry-After": "1"}), Reply(200, job_body()))
    began = time.monotonic()
    script.client().job("job_1")
    assert 1.0 <= time.monotonic() - began < 2.0


def test_a_retry_after_that_is_too_long_is_left_to_the_caller(script: Script) -> None:
    script.play(Reply(429, problem(429, "quota_exceeded"), {"Retry-After": "3600"}))
    with pytest.raises(RateLimitError) as limited:
        script.client().job("job_1")
    assert limited.value.retry_after_s == 3600
    assert len(script.seen) == 1


def test_retry_after_may_be_a_date() -> None:
    now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)

    def of(value: str) -> float | None:
        return retry_after_s(httpx.Response(503, headers={"Retry-After": value}), now)

    assert of(format_datetime(now + timedelta(seconds=90), usegmt=True)) == 90
    assert of(format_datetime(now - timedelta(seconds=90), usegmt=True)) == 0
    assert of("12") == 12
    assert of("soon") is None
    assert retry_after_s(httpx.Response(503)) is None


def test_waits_double_and_are_spread() -> None:
    policy = RetryPolicy(retries=6, first_wait_s=1.0, longest_wait_s=10.0)
    for attempt, most in enumerate([1, 2, 4, 8, 10, 10], start=1):
        waits = [policy.wait_s(attempt, None) or 0.0 for _ in range(200)]
        assert most / 2 <= min(waits) < max(waits) <= most
        assert len(set(waits)) > 100
    assert policy.wait_s(7, None) is None
    assert 5.0 <= (policy.wait_s(1, 5.0) or 0) <= 5.1


def test_nobody_listening_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        url = f"http://127.0.0.1:{once.getsockname()[1]}"
    with pytest.raises(ConnectionFailed, match="netmill up"):
        Client(url, retry=RetryPolicy(retries=1, first_wait_s=0.01)).job("job_1")


def test_silence_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1, retry=RetryPolicy(retries=0))
        with pytest.raises(TimedOut):
            client.job("job_1")


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    script.play(Reply(200, job_body()))
    assert script.client().job("job_1").id == "job_1"
