"""Metrics and events: pages, waits and streams."""

from __future__ import annotations

import json
import threading
import time

import pytest

from core.events import Log
from tests.api.conftest import Live


@pytest.fixture(scope="module")
def finished(live: Live) -> str:
    job_id = live.submit()
    live.finish(job_id, epochs=3)
    return job_id


@pytest.fixture
def running(live: Live) -> str:
    job_id = live.submit()
    live.claim(job_id)
    return job_id


def test_metrics_come_in_pages_whose_cursor_goes_on(live: Live, finished: str) -> None:
    address = f"/v1/jobs/{finished}/metrics"
    first = live.http.get(address, params={"limit": 2}).json()
    assert [row["seq"] for row in first["data"]] == [1, 2]
    assert first["data"][0].keys() >= {"seq", "epoch", "step", "time", "values"}
    assert first["data"][1]["values"] == {"train.loss": 0.5}
    second = live.http.get(address, params={"after": first["next_after"]}).json()
    assert [row["seq"] for row in second["data"]] == [3]
    assert second["terminal"] is True
    empty = live.http.get(address, params={"after": 3}).json()
    assert empty == {"data": [], "next_after": 3, "terminal": True}


def test_a_page_has_an_etag(live: Live, finished: str) -> None:
    first = live.http.get(f"/v1/jobs/{finished}/metrics")
    etag = {"If-None-Match": first.headers["etag"]}
    assert live.http.get(f"/v1/jobs/{finished}/metrics", headers=etag).status_code == 304


@pytest.mark.parametrize("kind", ["metrics", "events"])
def test_a_wait_ends_with_the_first_new_row(live: Live, running: str, kind: str) -> None:
    address = f"/v1/jobs/{running}/{kind}"
    after = live.http.get(address).json()["next_after"]
    threading.Timer(0.2, live.epoch, (running, 1)).start()
    start = time.monotonic()
    page = live.http.get(address, params={"after": after, "wait": 20}).json()
    assert time.monotonic() - start < 5
    assert [row["seq"] for row in page["data"]] == [after + 1]


def test_a_wait_on_a_job_that_ends_without_a_row_answers(live: Live) -> None:
    job_id = live.submit()
    threading.Timer(0.2, live.http.post, (f"/v1/jobs/{job_id}/cancel",)).start()
    page = live.http.get(f"/v1/jobs/{job_id}/metrics", params={"wait": 20}).json()
    assert page == {"data": [], "next_after": 0, "terminal": True}


def frames(text: str) -> list[dict[str, str]]:
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines()]
        if any(name == "id" for name, _, _ in lines):
            found.append({name: value for name, _, value in lines})
    return found


def test_a_stream_tells_what_the_page_tells_and_ends_with_the_job(live: Live, finished: str) -> None:
    address = f"/v1/jobs/{finished}/events"
    page = live.http.get(address).json()["data"]
    answer = live.http.get(address, headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = frames(answer.text)
    assert [json.loads(frame["data"]) for frame in told] == page
    assert [frame["event"] for frame in told] == [event["type"] for event in page]
    assert [int(frame["id"]) for frame in told] == list(range(1, len(page) + 1))


def test_a_stream_goes_on_after_the_last_event_that_was_seen(live: Live, finished: str) -> None:
    address = f"/v1/jobs/{finished}/events"
    last = live.http.get(address).json()["next_after"]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last - 2)}
    assert [frame["id"] for frame in frames(live.http.get(address, headers=headers).text)] == [str(last - 1), str(last)]
    # 204 is how a browser's EventSource is told to stay away
    headers["Last-Event-ID"] = str(last)
    assert live.http.get(address, headers=headers).status_code == 204
    headers["Last-Event-ID"] = "nonsense"
    assert len(frames(live.http.get(address, headers=headers).text)) == last


def test_a_stream_follows_a_running_job(live: Live, running: str) -> None:
    seen: list[str] = []
    with live.http.stream("GET", f"/v1/jobs/{running}/events", headers={"Accept": "text/event-stream"}) as answer:
        for line in answer.iter_lines():
            if line.startswith("event:"):
                seen.append(line.removeprefix("event: "))
            if seen == ["status", "status"]:
                live.record(running, Log("hello"))
                live.epoch(running, 1)
                seen.append("(recorded)")
            if seen[-1:] == ["metrics"] and "(finished)" not in seen:
                event, _ = live.checkpoint(1)
                live.record(running, event)
                live.http.post(f"/v1/jobs/{running}/cancel")
                seen.append("(finished)")
            if seen[-1:] == ["checkpoint"]:
                break
    assert seen == ["status", "status", "(recorded)", "log", "metrics", "(finished)", "checkpoint"]


def test_one_who_leaves_a_stream_is_no_longer_waited_for(live: Live, running: str) -> None:
    waiters = live.parts.telemetry.waiters._value
    with live.http.stream("GET", f"/v1/jobs/{running}/events", headers={"Accept": "text/event-stream"}) as answer:
        next(answer.iter_lines())
    deadline = time.monotonic() + 5
    while waiters.get() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert waiters.get() == 0


def test_pictures_of_a_history(live: Live, finished: str) -> None:
    svg, png = (live.http.get(f"/v1/jobs/{finished}/plot.{kind}") for kind in ("svg", "png"))
    assert svg.content.startswith(b"<?xml")
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert "default-src 'none'" in svg.headers["content-security-policy"]
    assert png.content.startswith(b"\x89PNG")
    again = live.http.get(f"/v1/jobs/{finished}/plot.svg", headers={"If-None-Match": svg.headers["etag"]})
    assert again.status_code == 304
