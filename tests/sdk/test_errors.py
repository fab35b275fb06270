"""One tree of errors; each says all that the service said."""

from __future__ import annotations

from typing import Any

import pytest

import netmill
from netmill import ApiError, InvalidError, NetmillError, TransportError
from tests.sdk.conftest import Reply, Script, problem

KINDS = {
    400: netmill.MalformedError,
    401: netmill.AuthenticationError,
    403: netmill.ForbiddenError,
    404: netmill.NotFoundError,
    409: netmill.ConflictError,
    413: netmill.TooLargeError,
    415: netmill.UnsupportedTypeError,
    422: netmill.InvalidError,
    429: netmill.RateLimitError,
    500: netmill.ServerError,
    503: netmill.UnavailableError,
    418: netmill.ApiError,
}


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_each_status_has_its_kind(script: Script, status: int, kind: type[ApiError]) -> None:
    script.play(Reply(status, problem(status, "some_code", request_id="r1", hint="h")))
    with pytest.raises(kind) as caught:
        script.client(retry=netmill.RetryPolicy(retries=0)).job("job_1")
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, NetmillError)
    assert (error.status, error.code, error.detail, error.request_id) == (status, "some_code", "d some_code", "r1")
    assert str(error) == f"d some_code [{status} some_code]\n  hint: h"


def test_every_fault_is_named_by_its_pointer(script: Script) -> None:
    faults = [
        {"pointer": "/optimizer/lr", "code": "greater_than", "detail": "received -1"},
        {"pointer": "/network/layers/0/units", "code": "missing", "detail": "expected a number"},
        {"pointer": "", "code": "x", "detail": "all of it"},
    ]
    script.play(Reply(422, problem(422, "invalid", errors=faults)))
    with pytest.raises(InvalidError) as caught:
        script.client().train({})
    assert [(fault.pointer, fault.code, fault.detail) for fault in caught.value.errors] == [
        tuple(fault.values()) for fault in faults
    ]
    assert "  /network/layers/0/units: expected a number" in str(caught.value).splitlines()


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1]", b"null", b'{"detail": 5, "errors": "x"}'])
def test_an_answer_that_is_no_problem_document_is_still_an_error(script: Script, body: bytes) -> None:
    script.play(Reply(502, body))
    with pytest.raises(netmill.ServerError) as caught:
        script.client(retry=netmill.RetryPolicy(retries=0)).job("job_1")
    assert caught.value.status == 502
    assert caught.value.code == "unknown"


def test_a_page_that_is_not_json_is_said_to_be_none_of_ours(script: Script) -> None:
    script.play(Reply(200, b"<html>hello</html>"))
    with pytest.raises(netmill.TransportError, match="is it a Netmill service"):
        script.client().job("job_1")


def test_the_key_is_in_no_message(script: Script) -> None:
    script.play(Reply(401, problem(401, "unauthenticated")))
    with pytest.raises(netmill.AuthenticationError) as caught:
        script.client(key="nm_very_secret").job("job_1")
    assert script.seen[0].headers["Authorization"] == "Bearer nm_very_secret"
    assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.problem}"


def test_an_answer_of_another_kind_of_service_is_said_to_be_none_of_ours(script: Script) -> None:
    script.play(Reply(200, {"status": "ok"}))
    with pytest.raises(TransportError, match=r"no JobState .*is it a Netmill service"):
        script.client().job("job_1")


def test_a_thousand_faults_are_all_there_and_not_all_printed(script: Script) -> None:
    faults = [{"pointer": f"/rows/{row}/age", "code": "x", "detail": "no value"} for row in range(1000)]
    script.play(Reply(422, problem(422, "invalid", errors=faults)))
    with pytest.raises(InvalidError) as caught:
        script.client().train({})
    assert len(caught.value.errors) == 1000
    assert str(caught.value).splitlines()[-1] == "  … and 980 more of the kind"


@pytest.mark.parametrize("spec", [{"lr": float("nan")}, {"tags": {"a", "b"}}])
def test_a_spec_that_is_no_json_is_refused_here(script: Script, spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        script.client().train(spec)
    assert script.seen == []
