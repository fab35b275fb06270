"""A job's handle: waiting, pages, tables, files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from netmill import IntegrityError, JobFailedError, Table, WaitTimeoutError
from netmill.job import PAGE_ROWS, PREDICT_ROWS
from tests.sdk.conftest import Reply, Script, Seen, job_body, problem

DONE = job_body(status="succeeded", terminal=True, result={"metrics": {"test.accuracy": 0.97}, "best_checkpoint": "c1"})
FAILURE = {"code": "diverged", "detail": "loss is inf", "pointer": "/optimizer/lr", "hint": "lower it", "epoch": 3}


def test_wait_asks_until_it_is_over(script: Script) -> None:
    script.play(Reply(201, job_body()), Reply(200, job_body(status="running")), Reply(200, DONE))
    job = script.client().train({}).wait()
    assert job.status == "succeeded"
    assert job.result.metrics == {"test.accuracy": 0.97}
    assert all("wait=30" in seen.path for seen in script.seen[1:])


def test_a_failure_says_what_to_change(script: Script) -> None:
    script.play(Reply(200, job_body(status="failed", terminal=True, error=FAILURE)))
    job = script.client().job("job_1")
    with pytest.raises(JobFailedError, match=r"job_1 failed: loss is inf \(at /optimizer/lr\); lower it") as failed:
        job.wait()
    assert (failed.value.code, failed.value.pointer) == ("diverged", "/optimizer/lr")
    assert job.wait(check=False).error is not None


def test_a_cancelled_job_is_over_and_no_failure(script: Script) -> None:
    script.play(Reply(200, job_body(status="cancelled", terminal=True)))
    assert script.client().job("job_1").wait().status == "cancelled"


def test_patience_ends(script: Script) -> None:
    script.play(Reply(200, job_body(status="paused")))
    with pytest.raises(WaitTimeoutError, match=r"still paused after 0\.05 s; it goes on"):
        script.client().job("job_1").wait(0.05)


def rows_of(total: int, name: str = "data") -> Any:
    """A service that pages through `total` metrics or events."""

    def answer(seen: Seen) -> Reply:
        url = urlsplit(seen.path)
        if not url.path.endswith(("/metrics", "/events")):
            return Reply(200, DONE)
        query = {key: int(float(value[0])) for key, value in parse_qs(url.query).items()}
        wanted = range(query["after"] + 1, min(total, query["after"] + query["limit"]) + 1)
        data = [
            {
                "seq": n, "epoch": n, "step": n * 10, "time": "2026-11-23T16:00:00Z", "type": "metrics",
                "values": {"train.loss": 1 / n} | ({"validation.loss": None} if n > 1 else {}), "data": {"epoch": n},
            }
            for n in wanted
        ]  # fmt: skip
        after = data[-1]["seq"] if data else query["after"]
        return Reply(200, {"data": data, "next_after": after, "terminal": True})

    return answer


@pytest.mark.parametrize("total", [0, 3, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS + 500])
def test_the_whole_history_comes_as_columns(script: Script, total: int) -> None:
    script.route(rows_of(total))
    table = script.client().job("job_1").metrics()
    assert table.height == total
    assert table["seq"] == list(range(1, total + 1))
    assert len([seen for seen in script.seen if "/metrics" in seen.path]) == total // PAGE_ROWS + 1


def test_a_table_has_a_hole_where_a_row_has_no_value(script: Script) -> None:
    script.route(rows_of(3))
    table = script.client().job("job_1").metrics()
    assert list(table) == ["seq", "epoch", "step", "time", "train.loss", "validation.loss"]
    assert table["validation.loss"] == [None, None, None]
    assert table.rows()[1]["train.loss"] == 0.5
    frame = table.to_polars()
    assert isinstance(frame, pl.DataFrame)
    assert frame["train.loss"].to_list() == [1.0, 0.5, 1 / 3]
    assert Table.of_rows([]).height == 0


def test_events_begin_where_one_left(script: Script) -> None:
    script.route(rows_of(5))
    events = list(script.client().job("job_1").events(after=3, follow=True))
    assert [event.seq for event in events] == [4, 5]
    assert events[0].data == {"epoch": 4}


def test_many_rows_are_asked_in_pieces_of_one_checkpoint(script: Script) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(200, DONE)
        body = json.loads(seen.body)
        return Reply(200, {"checkpoint": "ckpt_9", "output": body["output"], "classes": [0, 1], "data": body["rows"]})

    script.route(answer)
    rows = [{"x": n} for n in range(2 * PREDICT_ROWS + 1)]
    answered = script.client().job("job_1").predict(rows, output="probability")
    assert answered.data == rows
    bodies = [json.loads(seen.body) for seen in script.seen if seen.method == "POST"]
    assert [len(body["rows"]) for body in bodies] == [PREDICT_ROWS, PREDICT_ROWS, 1]
    assert [body["checkpoint"] for body in bodies] == ["best", "ckpt_9", "ckpt_9"]


def test_rows_or_inputs_but_not_both(script: Script) -> None:
    script.play(Reply(200, DONE))
    job = script.client().job("job_1")
    for wrong in ({}, {"rows": [], "inputs": []}):
        with pytest.raises(ValueError, match="one of the two"):
            job.predict(**wrong)


def checkpoint_server(content: bytes, sha256: str) -> Any:
    def answer(seen: Seen) -> Reply:
        if seen.path == "/v1/checkpoints/c1/content":
            return Reply(200, content)
        return Reply(200, {"id": "c1", "sha256": sha256} if "checkpoints" in seen.path else DONE)

    return answer


def test_a_download_is_checked(script: Script, tmp_path: Path) -> None:
    content = b"weights" * 100_000
    script.route(checkpoint_server(content, hashlib.sha256(content).hexdigest()))
    target = tmp_path / "new" / "w.safetensors"
    assert script.client().job("job_1").download(target) == target
    assert target.read_bytes() == content


def test_a_spoilt_download_leaves_what_was_there(script: Script, tmp_path: Path) -> None:
    script.route(checkpoint_server(b"spoilt", "0" * 64))
    target = tmp_path / "w.safetensors"
    target.write_bytes(b"before")
    with pytest.raises(IntegrityError, match="sha256"):
        script.client().download("c1", target)
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_picture_is_svg_or_png(script: Script, tmp_path: Path) -> None:
    script.play(Reply(200, DONE), Reply(200, b"<svg/>"))
    job = script.client().job("job_1")
    with pytest.raises(ValueError, match=r"\.svg or \.png"):
        job.plot(tmp_path / "curve.jpg")
    assert job.plot(tmp_path / "curve.svg").read_bytes() == b"<svg/>"
    assert job.plot(tmp_path / "layers.png", layers=True).read_bytes() == b"<svg/>"
    assert [seen.path for seen in script.seen[-2:]] == ["/v1/jobs/job_1/plot.svg", "/v1/jobs/job_1/layers.png"]


def test_fields_of_a_newer_service_are_kept(script: Script) -> None:
    script.play(Reply(200, job_body(color="blue", progress={"epoch": 1, "mood": "good"})))
    job = script.client().job("job_1")
    assert job.state.model_dump()["color"] == "blue"
    assert job.progress.model_dump()["mood"] == "good"


def test_a_change_is_a_merge_patch_with_a_key_of_its_own(script: Script) -> None:
    change = {"number": 1, "status": "pending", "patch": {}, "time": "2026-11-23T16:00:00Z", "step": None}
    script.play(Reply(200, job_body()), Reply(503, problem(503, "unavailable")), Reply(202, job_body(changes=[change])))
    job = script.client().job("job_1").change(lr=0.01, epochs=40, early_stopping={"patience": 3})
    assert [(one.number, one.status) for one in job.state.changes] == [(1, "pending")]
    first, again = script.seen[1:]
    assert (again.method, again.path) == ("PATCH", "/v1/jobs/job_1")
    assert json.loads(again.body) == {
        "optimizer": {"lr": 0.01},
        "training": {"epochs": 40, "early_stopping": {"patience": 3}},
    }
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
    script.play(Reply(202, job_body()))
    job.change(early_stopping=False)
    assert json.loads(script.seen[-1].body) == {"training": {"early_stopping": None}}


def test_a_history_in_folds_has_a_column_for_them(script: Script) -> None:
    rows = [{"seq": n, "epoch": n, "step": n, "time": "t", "values": {}, "fold": n % 2} for n in (1, 2)]
    assert Table.of_rows(rows)["fold"] == [1, 0]
    assert "fold" not in Table.of_rows([row | {"fold": None} for row in rows])
