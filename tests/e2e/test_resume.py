"""What is stopped goes on bit for bit: processes killed, jobs paused, epochs added."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest

from tests.support.service import Service, wait_until

SPEC: dict[str, Any] = {
    "data": {"dataset": "digits"},
    "network": {
        "layers": [
            {"type": "linear", "units": 128},
            {"type": "batch_norm"},
            {"type": "relu"},
            {"type": "dropout", "p": 0.3},
            {"type": "linear", "units": 64},
            {"type": "swish", "learnable": True},
        ]
    },
    "optimizer": {"type": "adamw", "lr": 0.002},
    "training": {"epochs": 60, "batch_size": 8, "seed": 5},
}


@pytest.fixture(scope="module")
def straight(any_service: Service) -> tuple[Service, bytes, list[dict[str, Any]]]:
    """The service, and weights and history of the run that nobody disturbed."""
    job = any_service.until(any_service.submit(SPEC), "succeeded", 120)
    return any_service, any_service.weights(job["id"]), any_service.metrics(job["id"])


def same_history(service: Service, job_id: str, reference: list[dict[str, Any]]) -> None:
    rows = service.metrics(job_id)
    assert [(row["seq"], row["epoch"], row["step"]) for row in rows] == [
        (row["seq"], row["epoch"], row["step"]) for row in reference
    ]
    assert [row["values"] for row in rows] == [row["values"] for row in reference]


def running_at(service: Service, job_id: str, epoch: int) -> None:
    def there() -> bool:
        job = service.job(job_id)
        assert not job["terminal"], f"over before it could be disturbed: {job['status']} {job['error']}"
        return job["status"] == "running" and job["progress"]["epoch"] >= epoch

    wait_until(there, f"{job_id} at epoch {epoch}")


def test_three_kills_change_no_bit(straight: tuple[Service, bytes, list[dict[str, Any]]]) -> None:
    service, weights, history = straight
    job_id = service.submit(SPEC)
    for module, epoch in (("worker.zygote", 4), ("worker", 12), ("worker", 24)):
        running_at(service, job_id, epoch)
        service.kill(module)
    job = service.until(job_id, "succeeded", 120)
    assert job["resume_exact"] is True
    assert job["attempt"] > 1
    assert service.weights(job_id) == weights
    same_history(service, job_id, history)


def test_pause_holds_nothing_and_resume_changes_no_bit(straight: tuple[Service, bytes, list[dict[str, Any]]]) -> None:
    service, weights, history = straight
    job_id = service.submit(SPEC)
    running_at(service, job_id, 5)
    assert service.http.post(f"/v1/jobs/{job_id}/pause").status_code == 202
    service.until(job_id, "paused", 10)
    other = service.submit(
        {"data": {"dataset": "iris"}, "network": {"family": "perceptron"}, "training": {"epochs": 1}}
    )
    service.until(other, "succeeded", 20)
    assert service.http.post(f"/v1/jobs/{job_id}/resume").status_code == 202
    service.until(job_id, "succeeded", 120)
    assert service.weights(job_id) == weights
    same_history(service, job_id, history)


def test_continue_gives_what_the_longer_run_gives(straight: tuple[Service, bytes, list[dict[str, Any]]]) -> None:
    service, weights, history = straight
    shorter = {**SPEC, "training": {**SPEC["training"], "epochs": 40}}
    job_id = service.submit(shorter)
    service.until(job_id, "succeeded", 120)
    answer = service.http.post(f"/v1/jobs/{job_id}/continue", json={"epochs": 20})
    assert answer.status_code == 202, answer.text
    wait_until(
        lambda: service.job(job_id)["status"] == "succeeded" and service.job(job_id)["progress"]["epoch"] == 60,
        "60 epochs",
    )
    assert service.weights(job_id) == weights
    same_history(service, job_id, history)


def test_cancel_keeps_the_work(straight: tuple[Service, bytes, list[dict[str, Any]]]) -> None:
    service, _, _ = straight
    job_id = service.submit(SPEC)
    running_at(service, job_id, 3)
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    job = service.until(job_id, "cancelled", 10)
    assert job["result"]["last_checkpoint"]
    assert service.http.get(f"/v1/checkpoints/{job['result']['last_checkpoint']}/content").status_code == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["term", "ctrl_c", "kill"])
def test_a_stopped_service_leaves_nothing_and_goes_on(tmp_path: Any, how: signal.Signals) -> None:
    service = Service(tmp_path / "data")
    service.folder.mkdir()
    service.start()
    try:
        job_id = service.submit({**SPEC, "training": {**SPEC["training"], "epochs": 100}})
        running_at(service, job_id, 2)
        before = service.processes()
        service.stop(how)
        _, alive = psutil.wait_procs(before, timeout=5)
        assert not alive, [process.cmdline() for process in alive if process.pid != os.getpid()]
        service.start()
        job = service.until(job_id, "succeeded", 120)
        assert job["resume_exact"] is True
        assert [row["epoch"] for row in service.metrics(job_id)] == list(range(1, 101))
    finally:
        service.stop()
