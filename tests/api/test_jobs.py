"""Jobs over HTTP: what is told, what may be done when, and how a client waits."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.db.session import transaction
from core.events import Failed, Progress, Stopped
from core.services import protocol
from tests.api.conftest import IRIS, Live

FIELDS = {
    *("id", "name", "tags", "status", "terminal", "parent", "created_at", "started_at", "finished_at"),
    *("queue_position", "attempt", "transitions", "progress", "result", "error", "spec", "links"),
    *("resume_exact", "resume_note", "cohort", "warnings", "changes"),
}


def test_a_job_is_told_as_the_contract_says(live: Live) -> None:
    answer = live.http.post("/v1/jobs", json={**IRIS, "tags": {"class": "physics"}})
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job.keys() == FIELDS
    assert job["id"].startswith("job_")
    assert (job["status"], job["terminal"], job["attempt"], job["parent"]) == ("queued", False, 0, None)
    assert job["queue_position"] >= 1
    assert job["progress"].items() >= {"epoch": 0, "epochs": 3, "step": 0}.items()
    assert job["created_at"].endswith("Z")
    assert job["spec"]["optimizer"]["type"] == "adam"
    assert [entry["status"] for entry in job["transitions"]] == ["queued"]
    for link in job["links"].values():
        assert live.http.get(link).status_code in (200, 405, 409), link
    assert live.http.get(answer.headers["location"]).json() == {**job, "queue_position": job["queue_position"]}


def test_a_finished_job_has_its_result(live: Live) -> None:
    job_id = live.submit()
    live.finish(job_id)
    job = live.http.get(f"/v1/jobs/{job_id}").json()
    assert job["status"] == "succeeded"
    assert job["terminal"] is True
    assert job["result"].keys() >= {"best_epoch", "metrics", "best_checkpoint", "last_checkpoint", "baselines"}
    assert job["result"]["metrics"] == {"test.accuracy": 0.9}
    assert [entry["status"] for entry in job["transitions"]] == ["queued", "running", "succeeded"]
    times = [entry["time"] for entry in job["transitions"]]
    assert times == sorted(times)


def test_jobs_that_train_together_say_how_many_they_are(live: Live) -> None:
    ids = [live.submit({**IRIS, "training": {"seed": seed, "epochs": 4}}) for seed in range(3)]
    with transaction(live.parts.sessions) as session:
        room = protocol.Room(most=64, memory_bytes=1 << 30)
        taken: list[str] = []
        while not set(ids) <= set(taken):
            claims = protocol.claim_together(session, worker_id="test", queue="wake.cpu", lease_s=60, room=room)
            live.claims |= {claim.job_id: (claim, 0) for claim in claims}
            taken += [claim.job_id for claim in claims]
    for job_id in ids:
        job = live.http.get(f"/v1/jobs/{job_id}").json()
        assert job["cohort"]["size"] >= 3
        live.record(job_id, Stopped("shutdown", 0, 0))
    alone = live.submit()
    live.claim(alone)
    assert live.http.get(f"/v1/jobs/{alone}").json()["cohort"] is None


def test_a_failed_job_explains_itself(live: Live) -> None:
    job_id = live.submit()
    live.claim(job_id)
    live.record(job_id, Failed("diverged", "the loss is not finite", "lower the rate", "/optimizer/lr", 3))
    error = live.http.get(f"/v1/jobs/{job_id}").json()["error"]
    assert (
        error.items() >= {"code": "diverged", "pointer": "/optimizer/lr", "epoch": 3, "hint": "lower the rate"}.items()
    )


def test_a_cancelled_job_says_where_its_work_is(live: Live) -> None:
    job_id = live.submit()
    live.claim(job_id)
    event, _ = live.checkpoint(1)
    live.record(job_id, event)
    live.http.post(f"/v1/jobs/{job_id}/cancel")
    live.record(job_id, Stopped("cancel", 1, 4))
    job = live.http.get(f"/v1/jobs/{job_id}").json()
    assert job["status"] == "cancelled"
    assert live.http.get(f"/v1/checkpoints/{job['result']['last_checkpoint']}").status_code == 200


def test_what_may_be_done_when(live: Live) -> None:
    address = f"/v1/jobs/{live.submit()}"
    post = live.http.post
    assert post(f"{address}/pause").json()["status"] == "paused"
    assert post(f"{address}/resume").json()["status"] == "queued"
    assert live.http.delete(address).status_code == 409
    assert post(f"{address}/continue", json={"epochs": 1}).status_code == 409
    cancelled = post(f"{address}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    for verb in ("cancel", "pause", "resume"):
        answer = post(f"{address}/{verb}")
        assert answer.status_code == 409, verb
        assert answer.json()["code"]
    assert live.http.delete(address).status_code == 204
    assert live.http.get(address).status_code == 404


def test_continue_and_clone(live: Live) -> None:
    job_id = live.submit({**IRIS, "optimizer": {"type": "adam"}})
    live.finish(job_id)
    address = f"/v1/jobs/{job_id}"
    for bad in ({}, {"epochs": 0}, {"epochs": 1.5}, {"epochs": "3"}, {"epochs": True}, {"epochs": 3, "x": 1}):
        assert live.http.post(f"{address}/continue", json=bad).status_code == 422, bad
    clone = live.http.post(f"{address}/clone", json={"optimizer": {"lr": 0.5}, "name": None})
    assert clone.status_code == 201, clone.text
    assert clone.json()["parent"] == job_id
    assert clone.json()["spec"]["optimizer"]["lr"] == 0.5
    assert live.http.post(f"{address}/clone").status_code == 201
    assert live.http.post(f"{address}/clone", json=[]).status_code == 422
    assert live.http.post(f"{address}/clone", json={"optimizer": {"lr": -1}}).status_code == 422
    more = live.http.post(f"{address}/continue", json={"epochs": 2})
    assert more.status_code == 202
    assert (more.json()["status"], more.json()["progress"]["epochs"]) == ("queued", 5)


def test_lists_filter_and_page(live: Live) -> None:
    ids = [live.submit({**IRIS, "tags": {"course": "ml", "n": str(n)}}) for n in range(5)]
    live.http.post(f"/v1/jobs/{ids[0]}/cancel")
    found: list[str] = []
    cursor = None
    for _ in range(4):
        query: dict[str, Any] = {"tag": "course=ml", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = live.http.get("/v1/jobs", params=query).json()
        found += [job["id"] for job in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ids[::-1]

    def listed(**query: str) -> set[str]:
        return {job["id"] for job in live.http.get("/v1/jobs", params={"limit": 200, **query}).json()["data"]}

    assert listed(status="cancelled", tag="n=0") == {ids[0]}
    assert listed(tag="n=3") == {ids[3]}
    assert set(ids) <= listed(dataset="iris")
    assert not listed(dataset="wine")


def test_an_etag_saves_the_body(live: Live) -> None:
    address = f"/v1/jobs/{live.submit()}"
    live.http.post(f"{address}/cancel")
    first = live.http.get(address)
    again = live.http.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.fixture
def running(live: Live) -> str:
    job_id = live.submit()
    live.claim(job_id)
    return job_id


def later(action: Any, *arguments: Any) -> threading.Timer:
    timer = threading.Timer(0.2, action, arguments)
    timer.start()
    return timer


def test_wait_holds_until_something_is_new(live: Live, running: str) -> None:
    later(live.record, running, Progress(1, 3, 5, 12, None, None))
    start = time.monotonic()
    job = live.http.get(f"/v1/jobs/{running}", params={"wait": 20}).json()
    assert 0.15 < time.monotonic() - start < 5
    assert job["progress"]["step"] == 5


def test_wait_on_a_job_that_is_over_answers_at_once(live: Live) -> None:
    job_id = live.submit()
    live.finish(job_id)
    start = time.monotonic()
    assert live.http.get(f"/v1/jobs/{job_id}", params={"wait": 60}).json()["terminal"]
    assert time.monotonic() - start < 2


def test_wait_with_an_old_etag_answers_at_once(live: Live, running: str) -> None:
    start = time.monotonic()
    answer = live.http.get(f"/v1/jobs/{running}", params={"wait": 60}, headers={"If-None-Match": '"old"'})
    assert answer.status_code == 200
    assert time.monotonic() - start < 2


def test_wait_ends_when_its_time_is_over_or_the_job_is_gone(live: Live, running: str) -> None:
    start = time.monotonic()
    assert live.http.get(f"/v1/jobs/{running}", params={"wait": 0.5}).status_code == 200
    assert 0.4 < time.monotonic() - start < 3


def test_many_who_wait_hold_no_thread_and_no_connection(live: Live, running: str) -> None:
    def wait() -> int:
        return int(live.http.get(f"/v1/jobs/{running}", params={"wait": 20}).json()["progress"]["step"])

    with ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(wait) for _ in range(60)]
        deadline = time.monotonic() + 10
        while live.parts.telemetry.waiters._value.get() < 60 and time.monotonic() < deadline:
            time.sleep(0.01)
        looks = live.parts.telemetry.looks._value.get()
        assert live.http.get(f"/v1/jobs/{running}").elapsed.total_seconds() < 2
        assert live.parts.engine.pool.checkedout() <= 2  # type: ignore[attr-defined]
        live.record(running, Progress(1, 3, 9, 12, None, None))
        assert {future.result(20) for future in waiting} == {9}
    assert live.parts.telemetry.looks._value.get() - looks < 20
