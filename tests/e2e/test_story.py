"""A user's story against a real service: upload, plan, train, read, take away, ask, delete."""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load


def ring_csv(rows: int = 600, seed: int = 7) -> bytes:
    """Two classes, one inside the other, with a colour that tells nothing and some holes."""
    draw = random.Random(seed)
    lines = ["x1,x2,colour,kind"]
    for _ in range(rows):
        inside = draw.random() < 0.5
        radius = draw.uniform(0, 1) if inside else draw.uniform(1.5, 2.5)
        angle = draw.uniform(0, 2 * math.pi)
        x1 = "" if draw.random() < 0.02 else f"{radius * math.cos(angle):.5f}"
        colour = draw.choice(["red", "green", "blue"])
        lines.append(f"{x1},{radius * math.sin(angle):.5f},{colour},{'inner' if inside else 'outer'}")
    return "\n".join(lines).encode()


def ring_spec(dataset: str) -> dict[str, Any]:
    return {
        "name": "rings",
        "tags": {"class": "physics"},
        "data": {"dataset": dataset, "target": "kind"},
        "network": {
            "layers": [
                {"type": "linear", "units": 32},
                {"type": "relu"},
                {"type": "linear", "units": 16},
                {"type": "tanh"},
            ]
        },
        "optimizer": {"type": "adam", "lr": 0.01},
        "training": {"epochs": 30, "batch_size": 32},
    }


@pytest.fixture(scope="module")
def trained(any_service: Any) -> tuple[Any, dict[str, Any]]:
    """The service and a job that has learnt the rings on it."""
    answer = any_service.http.post("/v1/datasets", params={"name": "rings", "format": "csv"}, content=ring_csv())
    assert answer.status_code in (200, 201), answer.text
    job_id = any_service.submit(ring_spec("rings"))
    return any_service, any_service.until(job_id, "succeeded")


def test_the_upload_is_described_and_stored_once(any_service: Any) -> None:
    first = any_service.http.post(
        "/v1/datasets", params={"name": "once", "format": "csv"}, content=ring_csv(seed=9)
    ).json()
    assert first["rows"] == 600
    assert {column["name"]: column["type"] for column in first["columns"]}["kind"] == "string"
    again = any_service.http.post("/v1/datasets", params={"name": "once", "format": "csv"}, content=ring_csv(seed=9))
    assert again.status_code == 200
    assert again.json()["id"] == first["id"]
    preview = any_service.http.get(f"/v1/datasets/{first['id']}/preview", params={"rows": 3}).json()
    assert len(preview["data"]) == 3


def test_the_plan_says_what_will_be_trained(trained: Any) -> None:
    service, _ = trained
    plan = service.http.post("/v1/plan", json=ring_spec("rings")).json()
    # two numbers and three colours enter, one logit leaves
    assert [layer["parameters"] for layer in plan["layers"]] == [5 * 32 + 32, 0, 32 * 16 + 16, 0, 17]
    assert plan["parameters"] == 737
    assert plan["spec"]["task"] == "classification"


def test_the_job_learnt_and_says_so(trained: Any) -> None:
    _, job = trained
    assert job["result"]["metrics"]["test.accuracy"] > 0.95
    assert job["result"]["metrics"]["test.auc"] > 0.97
    assert [row["status"] for row in job["transitions"]] == ["queued", "running", "succeeded"]
    assert job["progress"]["epoch"] == 30
    assert job["terminal"] is True
    assert job["resume_exact"] is True


def test_the_history_has_no_hole_and_can_be_paged(trained: Any) -> None:
    service, job = trained
    rows = service.metrics(job["id"])
    assert [row["epoch"] for row in rows] == list(range(1, 31))
    assert [row["seq"] for row in rows] == list(range(1, 31))
    assert rows[-1]["values"]["train.loss"] < rows[0]["values"]["train.loss"]
    page = service.http.get(f"/v1/jobs/{job['id']}/metrics", params={"after": 28}).json()
    assert [row["seq"] for row in page["data"]] == [29, 30]
    assert page["terminal"] is True
    empty = service.http.get(f"/v1/jobs/{job['id']}/metrics", params={"after": page["next_after"]}).json()
    assert empty == {"data": [], "next_after": page["next_after"], "terminal": True}


def test_events_are_ordered_and_stream_from_where_one_left(trained: Any) -> None:
    service, job = trained
    page = service.http.get(f"/v1/jobs/{job['id']}/events", params={"limit": 1000}).json()["data"]
    assert [event["seq"] for event in page] == list(range(1, len(page) + 1))
    assert {"status", "metrics", "checkpoint"} <= {event["type"] for event in page}
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(page[-3]["seq"])}
    with service.http.stream("GET", f"/v1/jobs/{job['id']}/events", headers=headers) as stream:
        ids = [line.removeprefix("id:").strip() for line in stream.iter_lines() if line.startswith("id:")]
    assert ids == [str(event["seq"]) for event in page[-2:]]


def test_a_checkpoint_is_a_safetensors_file_in_pytorch_shapes(trained: Any) -> None:
    service, job = trained
    checkpoint = service.http.get(f"/v1/checkpoints/{job['result']['best_checkpoint']}").json()
    answer = service.http.get(f"/v1/checkpoints/{checkpoint['id']}/content")
    assert hashlib.sha256(answer.content).hexdigest() == checkpoint["sha256"]
    shapes = sorted(tuple(tensor.shape) for tensor in load(answer.content).values())
    assert shapes == sorted([(32, 5), (32,), (16, 32), (16,), (1, 16), (1,)])
    part = service.http.get(f"/v1/checkpoints/{checkpoint['id']}/content", headers={"Range": "bytes=0-7"})
    assert part.status_code == 206
    (header_bytes,) = struct.unpack("<Q", part.content)
    assert 0 < header_bytes < len(answer.content)


def test_predictions_apply_the_stored_preprocessing(trained: Any) -> None:
    service, job = trained
    rows = [
        {"x1": 0.1, "x2": 0.2, "colour": "red"},
        {"x1": 2.0, "x2": -0.5, "colour": "mauve"},
        {"x1": None, "x2": 2.2, "colour": None},
    ]
    url = f"/v1/jobs/{job['id']}/predict"
    answer = service.http.post(url, json={"rows": rows}).json()
    assert answer["classes"] == ["inner", "outer"]
    assert answer["data"][:2] == ["inner", "outer"]
    shares = service.http.post(url, json={"rows": rows, "output": "probability"}).json()["data"]
    assert np.allclose(np.sum(shares, axis=1), 1)


def test_a_prediction_with_a_missing_column_says_which(trained: Any) -> None:
    service, job = trained
    answer = service.http.post(f"/v1/jobs/{job['id']}/predict", json={"rows": [{"x1": 1.0}]})
    assert answer.status_code == 422
    assert any("x2" in error["detail"] or "x2" in error["pointer"] for error in answer.json()["errors"])


@pytest.mark.parametrize("format_name", ["safetensors", "onnx"])
def test_the_model_can_be_taken_away(trained: Any, format_name: str) -> None:
    service, job = trained
    answer = service.http.get(f"/v1/jobs/{job['id']}/export", params={"format": format_name})
    assert answer.status_code == 200, answer.text
    assert len(answer.content) > 1000
    if format_name == "safetensors":
        (header_bytes,) = struct.unpack("<Q", answer.content[:8])
        metadata = json.loads(answer.content[8 : 8 + header_bytes])["__metadata__"]
        assert "preparation" in metadata["netmill"]


@pytest.mark.parametrize(("kind", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_learning_curve_is_a_picture(trained: Any, kind: str, magic: bytes) -> None:
    service, job = trained
    assert service.http.get(f"/v1/jobs/{job['id']}/plot.{kind}").content.startswith(magic)


def test_three_faults_come_back_at_once_with_their_places(any_service: Any) -> None:
    spec = {
        "data": {"dataset": "iris", "target": "labell"},
        "network": {"layers": [{"type": "linear", "unit": 3}]},
        "optimizer": {"type": "adam", "lr": -1},
    }
    answer = any_service.http.post("/v1/jobs", json=spec)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert {"/data/target", "/optimizer/lr"} <= pointers
    assert any(pointer.startswith("/network/layers/0") for pointer in pointers)


def test_the_same_idempotency_key_makes_one_job(any_service: Any) -> None:
    spec = {"data": {"dataset": "iris"}, "network": {"family": "perceptron"}, "training": {"epochs": 1}}
    headers = {"Idempotency-Key": "once-only"}
    first, second = (any_service.http.post("/v1/jobs", json=spec, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    other = any_service.http.post("/v1/jobs", json={**spec, "name": "other"}, headers=headers)
    assert other.status_code == 422


def test_a_clone_is_a_new_job_with_a_parent(trained: Any) -> None:
    service, job = trained
    answer = service.http.post(
        f"/v1/jobs/{job['id']}/clone", json={"optimizer": {"lr": 0.02}, "training": {"epochs": 2}}
    )
    assert answer.status_code == 201, answer.text
    clone = service.until(answer.json()["id"], "succeeded")
    assert clone["parent"] == job["id"]
    assert clone["spec"]["optimizer"]["lr"] == 0.02


def test_a_diverging_job_fails_with_a_reason_and_a_remedy(any_service: Any) -> None:
    job_id = any_service.submit(
        {
            "data": {"dataset": "diabetes"},
            "network": {"family": "feed_forward", "hidden": [64]},
            "optimizer": {"type": "sgd", "lr": 1e6},
            "training": {"epochs": 50},
        }
    )
    job = any_service.until(job_id, "failed")
    assert job["error"]["code"] == "diverged"
    assert job["error"]["pointer"] == "/optimizer/lr"
    assert job["error"]["hint"]


def test_a_finished_job_can_be_deleted_with_all_it_stored(any_service: Any) -> None:
    job_id = any_service.submit(
        {"data": {"dataset": "wine"}, "network": {"family": "perceptron"}, "training": {"epochs": 1}}
    )
    checkpoint = any_service.until(job_id, "succeeded")["result"]["last_checkpoint"]
    assert any_service.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 409
    assert any_service.http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert any_service.http.get(f"/v1/jobs/{job_id}").status_code == 404
    assert any_service.http.get(f"/v1/checkpoints/{checkpoint}").status_code == 404
