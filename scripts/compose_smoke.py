"""Prove that a running `docker compose` project keeps its promises; run from the repository root.

    make env && docker compose up --build --wait && python scripts/compose_smoke.py

1. A job goes in through the published port and comes out trained; its model predicts.
2. A worker is killed with SIGKILL while it trains; the job finishes, no row of its history repeated or lost.
3. `down` (without -v) and `up` again: jobs, metrics and the bytes of checkpoints are what they were.

Standard library only: it runs on a host that has Docker and Python and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
QUICK: dict[str, Any] = {
    "name": "smoke",
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "training": {"epochs": 10},
}
CSV = "size,kind\n1.5,a\n2.5,b\n3.5,a\n"
# small steps and many of them: ten seconds on a machine with nothing else to do, a checkpoint at every epoch
LONG: dict[str, Any] = {
    "name": "survivor",
    "data": {"dataset": "digits"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
    "optimizer": {"type": "sgd", "lr": 0.001},
    "training": {"epochs": 400, "batch_size": 8},
}


def compose_command() -> list[str]:
    """Compose as a plugin of docker, or as a program of its own, or as COMPOSE says."""
    if named := os.environ.get("COMPOSE"):
        return named.split()
    if (
        shutil.which("docker")
        and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    ):
        return ["docker", "compose"]
    if found := shutil.which("docker-compose"):
        return [found]
    sys.exit("neither `docker compose` nor `docker-compose` is here: install one, or name it in COMPOSE")


def admin_key() -> str:
    lines = (ROOT / ".env").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("NETMILL_ADMIN_KEY="))


class Project:
    """The composed service, through its published port and its containers."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.headers = {"Authorization": f"Bearer {admin_key()}", "Content-Type": "application/json"}
        self.command = compose_command()

    def compose(self, *words: str) -> str:
        result = subprocess.run([*self.command, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(f"{' '.join(words)} failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
        return result.stdout

    def fetch(self, path: str, body: dict[str, Any] | None = None, data: bytes | None = None) -> bytes:
        data = data if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data=data, headers=self.headers)
        with urllib.request.urlopen(request, timeout=90) as answer:
            return bytes(answer.read())

    def call(self, path: str, body: dict[str, Any] | None = None, data: bytes | None = None) -> Any:
        return json.loads(self.fetch(path, body, data))

    def until(self, job_id: str, condition: Callable[[dict[str, Any]], bool], timeout_s: float) -> dict[str, Any]:
        """The job once the condition holds; a job that has failed ends the check."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            job: dict[str, Any] = self.call(f"/v1/jobs/{job_id}")
            if condition(job):
                return job
            if job["terminal"]:
                sys.exit(f"{job_id} is {job['status']}: {job['error']}")
            time.sleep(0.2)
        sys.exit(f"{job_id} is still {job['status']} at {job['progress']} after {timeout_s:.0f} s")

    def rows(self, job_id: str) -> list[dict[str, Any]]:
        return list(self.call(f"/v1/jobs/{job_id}/metrics?limit=1000")["data"])

    def last_checkpoint_sha256(self, job_id: str) -> str:
        """Of the bytes as they are served, compared with what the service says of them."""
        checkpoint = self.call(f"/v1/jobs/{job_id}")["result"]["last_checkpoint"]
        served = hashlib.sha256(self.fetch(f"/v1/checkpoints/{checkpoint}/content")).hexdigest()
        said = self.call(f"/v1/checkpoints/{checkpoint}")["sha256"]
        return served if served == said else sys.exit(f"{checkpoint} is {served}, not {said}")


def require(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(f"not so: {what}")


def job_through_the_port(project: Project) -> str:
    job_id: str = project.call("/v1/jobs", QUICK)["id"]
    job = project.until(job_id, lambda job: job["status"] == "succeeded", 180)
    require(job["result"]["metrics"]["test.accuracy"] > 0.85, f"digits are learnt: {job['result']['metrics']}")
    answer = project.call(f"/v1/jobs/{job_id}/predict", {"inputs": [[0.0] * 64]})
    require(len(answer["data"]) == 1, "one row in, one prediction out")
    # what needs a writable folder in a container whose root is read-only
    require(len(project.fetch(f"/v1/jobs/{job_id}/export?format=onnx")) > 1000, "the model comes as ONNX")
    require(b"<svg" in project.fetch(f"/v1/jobs/{job_id}/plot.svg"), "the learning curve is a picture")
    upload = project.call(f"/v1/datasets?name=smoke-{job_id}&format=csv", data=CSV.encode())
    require(upload["rows"] == 3, "an upload is read")
    return job_id


def a_worker_dies(project: Project) -> str:
    """All workers but one are taken away, so that the one that is killed is the one that trains."""
    project.compose("up", "-d", "--no-build", "--scale", "worker=1", "--no-recreate", "worker")
    job_id: str = project.call("/v1/jobs", LONG)["id"]
    project.until(job_id, lambda job: (job["progress"] or {}).get("epoch", 0) >= 20, 180)
    project.compose("kill", "--signal", "KILL", "worker")
    before = project.call(f"/v1/jobs/{job_id}")
    require(not before["terminal"], "the worker was killed before its job was done")
    project.compose("up", "-d", "--no-build", "--scale", "worker=3", "--no-recreate", "worker")
    after = project.until(job_id, lambda job: job["status"] == "succeeded", 600)
    require(after["attempt"] > before["attempt"], "another attempt finished the job")
    epochs = [row["epoch"] for row in project.rows(job_id)]
    require(epochs == list(range(1, LONG["training"]["epochs"] + 1)), "each epoch stands once in the history")
    return job_id


def down_and_up(project: Project, *job_ids: str) -> None:
    def contents() -> list[Any]:
        return [(project.rows(job_id), project.last_checkpoint_sha256(job_id)) for job_id in job_ids]

    before = contents()
    project.compose("down")
    project.compose("up", "-d", "--no-build", "--wait", "--wait-timeout", "150")
    require(contents() == before, "metrics and checkpoints are what they were before `down`")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", default=os.environ.get("BASE_URL", "http://127.0.0.1:8000"))
    project = Project(options.parse_args().url)
    start = time.monotonic()

    def lap(what: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {what}", flush=True)

    quick = job_through_the_port(project)
    lap("a job through the published port was trained and predicts")
    survivor = a_worker_dies(project)
    lap("a worker was killed while it trained; the job finished, its history whole")
    down_and_up(project, quick, survivor)
    lap("down and up again: nothing lost")
    again = job_through_the_port(project)
    lap(f"and it trains on ({again})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
