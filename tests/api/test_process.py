"""The API as a process: light, refusing what is unsafe, ready when its parts are, gone when asked."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.db.session import transaction
from core.services import workers
from tests.api.conftest import ADMIN, IRIS, NO_BROKER, Live, free_settings, serving
from tests.support.service import REPOSITORY, wait_until
from tests.support.valkey import Valkey


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout


def test_torch_and_matplotlib_are_not_loaded() -> None:
    loaded = python("import sys, api.app, api.__main__; print(*sys.modules)").split()
    assert not {"torch", "matplotlib", "sklearn", "scipy", "polars"} & {name.partition(".")[0] for name in loaded}


def environment(tmp_path: Path, database_url: str, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NETMILL_")}
    return {**clean, "DATABASE_URL": database_url, "REDIS_URL": NO_BROKER, "NETMILL_DATA_DIR": str(tmp_path), **more}


def test_it_does_not_start_open_to_everybody(tmp_path: Path, sqlite_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api"],
        cwd=REPOSITORY,
        env=environment(tmp_path, sqlite_url),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "NETMILL_ADMIN_KEY" in done.stderr


@pytest.fixture
def process(tmp_path: Path, sqlite_url: str) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "api.log"
    more = {"NETMILL_ADMIN_KEY": ADMIN, "NETMILL_PORT": str(port)}
    with log.open("w") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=REPOSITORY,
            env=environment(tmp_path, sqlite_url, **more),
            stderr=out,
            text=True,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert running.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, "the process to answer", 20)
    yield running, url, log
    if running.poll() is None:
        running.kill()
        running.wait()


def test_sigterm_lets_who_waits_go_and_ends_and_no_key_was_logged(
    process: tuple[subprocess.Popen[str], str, Path],
) -> None:
    running, url, log = process
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=70) as http:
        job = http.post("/v1/jobs", json=IRIS).json()["id"]
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(http.get(f"/v1/jobs/{job}", params={"wait": 60})))
        waiting.start()
        time.sleep(0.5)
        start = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        waiting.join(5)
        assert time.monotonic() - start < 4
        assert answers[0].status_code == 200
    text = log.read_text()
    assert ADMIN not in text
    assert '"path": "/v1/jobs"' in text
    assert '"request_id"' in text


@pytest.mark.parametrize("where", ["header", "address"])
def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(
    process: tuple[subprocess.Popen[str], str, Path], where: str
) -> None:
    _, url, _ = process
    begins = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " if where == "header" else b"GET /"
    sent = 0
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(begins)
        with suppress(ConnectionError):
            while sent < 64 << 20 and not select.select([connection], [], [], 0)[0]:
                sent += connection.send(b"a" * 16384)
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"head_too_large" in answer
    assert sent < 32 << 20
    headers = {"X-Long": "a" * 30000}
    assert httpx.get(f"{url}/healthz", headers=headers).status_code == 200


def test_ready_needs_database_broker_and_a_worker_seen_lately(tmp_path: Path, sqlite_url: str) -> None:
    broker = Valkey()
    broker.start()
    try:
        settings = free_settings(database_url=sqlite_url, data_dir=tmp_path / "data", redis_url=broker.url)
        with serving(settings) as live:
            answer = live.http.get("/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.headers["retry-after"]
            assert answer.json()["checks"] == {"database": True, "schema": True, "broker": True, "worker": False}
            with transaction(live.parts.sessions) as session:
                workers.seen(session, "w1", queue="wake.cpu", slots=1, info={})
            assert live.http.get("/readyz").status_code == 200
            broker.kill()
            assert live.http.get("/readyz").json()["checks"]["broker"] is False
            assert live.http.get("/healthz").status_code == 200
    finally:
        broker.close()


def test_a_hint_of_the_broker_is_quicker_than_the_next_look(tmp_path: Path, sqlite_url: str) -> None:
    broker = Valkey()
    broker.start()
    try:
        settings = free_settings(database_url=sqlite_url, data_dir=tmp_path / "data", redis_url=broker.url)
        with serving(settings) as live:
            job_id = live.submit()
            live.claim(job_id)
            live.parts.jobs._interval_s = 60.0
            wait_until(lambda: broker.client().pubsub_numsub("netmill:hints")[0][1], "a subscription", 5)

            def tell() -> None:
                live.epoch(job_id, 1)
                live.parts.queue.notify(job_id)

            threading.Timer(0.3, tell).start()
            page = live.http.get(f"/v1/jobs/{job_id}/metrics", params={"wait": 20}).json()
            assert len(page["data"]) == 1
    finally:
        broker.close()


def test_a_broker_that_is_away_does_not_hold_a_submit(live: Live) -> None:
    live.submit()
    start = time.monotonic()
    for _ in range(5):
        live.submit()
    assert time.monotonic() - start < 5


def test_figures_for_prometheus(live: Live) -> None:
    live.submit()
    live.http.get("/v1/jobs/job_does_not_exist")
    text = live.http.get("/metrics").text
    assert 'netmill_http_requests_total{method="POST",route="/v1/jobs",status="201"}' in text
    assert 'route="/v1/jobs/{job_id}",status="404"' in text
    assert "job_does_not_exist" not in text
    assert 'netmill_jobs{status="queued"}' in text
    assert "netmill_broker_failures" in text
