"""PATCH of a job that lives, over HTTP; and what a job in folds looks like."""

from __future__ import annotations

import time
from typing import Any

import pytest

from core.events import Changed, Finished, Metrics, Started
from tests.api.conftest import IRIS, Live

LR = {"optimizer": {"lr": 0.01}}


def test_a_change_is_accepted_made_and_told(live: Live) -> None:
    job_id = live.submit()
    live.claim(job_id)
    answer = live.http.patch(f"/v1/jobs/{job_id}", json={**LR, "training": {"epochs": 9}})
    assert answer.status_code == 202
    asked = answer.json()["changes"]
    assert [(each["number"], each["status"], each["step"]) for each in asked] == [(1, "pending", None)]
    assert asked[0]["patch"] == {**LR, "training": {"epochs": 9}}
    live.record(job_id, Changed(1, 7, 1, {"lr": 0.01, "epochs": 9}))
    job = live.http.get(f"/v1/jobs/{job_id}").json()
    assert (job["changes"][0]["status"], job["changes"][0]["step"], job["changes"][0]["epoch"]) == ("applied", 7, 1)
    assert job["spec"]["optimizer"]["lr"] == 0.01
    assert job["progress"]["epochs"] == 9
    events = live.http.get(f"/v1/jobs/{job_id}/events").json()["data"]
    assert [event["data"]["status"] for event in events if event["type"] == "change"] == ["pending", "applied"]


@pytest.mark.parametrize(
    ("patch", "found"),
    [
        ({"training": {"batch_size": 4}}, {"/training/batch_size": "not_live"}),
        ({"lr": 0.1}, {"/lr": "not_live"}),
        ({"optimizer": {"lr": 0}}, {"/optimizer/lr": "out_of_range"}),
        ({}, {"": "nothing_to_change"}),
        ([], {"": "not_an_object"}),
        (
            {"optimizer": {"lr": "fast"}, "training": {"early_stopping": {"patients": 3}}},
            {"/optimizer/lr": "wrong_type", "/training/early_stopping/patients": "unknown_field"},
        ),
    ],
)
def test_a_wrong_change_says_all_that_is_wrong(live: Live, patch: Any, found: dict[str, str]) -> None:
    job_id = live.submit()
    answer = live.http.patch(f"/v1/jobs/{job_id}", json=patch)
    assert answer.status_code == 422
    assert {error["pointer"]: error["code"] for error in answer.json()["errors"]} == found


def test_a_job_that_is_over_is_told_what_to_do_instead(live: Live) -> None:
    job_id = live.submit()
    live.finish(job_id)
    answer = live.http.patch(f"/v1/jobs/{job_id}", json=LR)
    assert answer.status_code == 409
    assert answer.json()["code"] == "job_finished"
    assert "/continue" in answer.json()["hint"]
    assert live.http.patch("/v1/jobs/job_none", json=LR).status_code == 404


def test_the_same_key_changes_once(live: Live) -> None:
    job_id = live.submit()
    first, second = (
        live.http.patch(f"/v1/jobs/{job_id}", json=LR, headers={"Idempotency-Key": "k-change"}) for _ in range(2)
    )
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert len(live.http.get(f"/v1/jobs/{job_id}").json()["changes"]) == 1


FOLDED: dict[str, Any] = {**IRIS, "data": {"dataset": "iris", "split": {"folds": 3}}}


def test_a_job_in_folds_tells_the_fold_of_each_row_and_the_spread(live: Live) -> None:
    plan = live.http.post("/v1/plan", json=FOLDED).json()
    assert len(plan["fold_sizes"]) == 3
    job_id = live.submit(FOLDED)
    assert live.http.get(f"/v1/jobs/{job_id}").json()["progress"]["epochs"] == 9
    live.claim(job_id)
    live.record(job_id, Started(3, 27, True, None, {}))
    for fold in range(3):
        for epoch in range(1, 4):
            values: dict[str, float | None] = {"train.loss": 1 / epoch, "validation.loss": 1 / epoch + fold / 10}
            live.record(job_id, Metrics(epoch, 9 * fold + 3 * epoch, values, time=time.time(), fold=fold))
    folds = {"count": 3, "best": 0, "metrics": {"test.loss": {"mean": 2.0, "std": 0.8, "values": [1.0, 2.0, 3.0]}}}
    live.record(job_id, Finished(3, 9, {"test.loss": 2.0}, folds=folds))
    job = live.http.get(f"/v1/jobs/{job_id}").json()
    assert job["result"]["folds"] == folds
    rows = live.http.get(f"/v1/jobs/{job_id}/metrics").json()["data"]
    assert [row["fold"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    events = live.http.get(f"/v1/jobs/{job_id}/events").json()["data"]
    assert [event["data"]["fold"] for event in events if event["type"] == "metrics"][::3] == [0, 1, 2]
    picture = live.http.get(f"/v1/jobs/{job_id}/plot.svg")
    assert picture.status_code == 200
    answer = live.http.patch(f"/v1/jobs/{job_id}", json=LR)
    assert answer.json()["code"] == "job_finished"


def test_rows_without_folds_say_null(live: Live) -> None:
    job_id = live.submit()
    live.finish(job_id)
    rows = live.http.get(f"/v1/jobs/{job_id}/metrics").json()["data"]
    assert {row["fold"] for row in rows} == {None}
    assert "folds" not in live.http.get(f"/v1/jobs/{job_id}").json()["result"]
