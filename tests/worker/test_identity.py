"""A worker's name: kept over a death, never shared."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import REPOSITORY
from worker import healthcheck, identity

HOLDER = """
import sys, time
from pathlib import Path
from worker import identity
print(identity.take(Path(sys.argv[1])).name, flush=True)
time.sleep(60)
"""


def test_two_workers_have_two_names_and_a_dead_ones_name_comes_back(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    with process.stdout:
        first = process.stdout.readline().strip()
        assert first.startswith(f"{socket.gethostname()}-1-")
        second = identity.take(tmp_path)
        assert second.name.startswith(f"{socket.gethostname()}-2-")
        process.kill()
        process.wait()
    again = identity.take(tmp_path)
    assert again.name == first
    again.release()
    second.release()


def test_two_machines_with_one_host_name_have_two_names(tmp_path: Path) -> None:
    ours, theirs = identity.take(tmp_path / "ours"), identity.take(tmp_path / "theirs")
    assert ours.name != theirs.name
    ours.release()
    theirs.release()


def test_a_given_name_is_refused_while_its_owner_lives(tmp_path: Path) -> None:
    mine = identity.take(tmp_path, "gpu/a")
    with pytest.raises(RuntimeError, match="taken by a living worker"):
        identity.take(tmp_path, "gpu/a")
    mine.release()
    assert identity.take(tmp_path, "gpu/a").folder.parent == tmp_path / "workers"


def test_a_new_owner_finds_no_runs_of_the_old_one(tmp_path: Path) -> None:
    mine = identity.take(tmp_path, "w")
    (mine.folder / "runs" / "job_1.1").mkdir()
    mine.release()
    assert list((identity.take(tmp_path, "w").folder / "runs").iterdir()) == []


def test_health_is_a_fresh_heartbeat_file(tmp_path: Path) -> None:
    assert healthcheck.newest_age_s(tmp_path, None) is None
    mine = identity.take(tmp_path)
    (mine.folder / "heartbeat").touch()
    age_s = healthcheck.newest_age_s(tmp_path, None)
    assert age_s is not None
    assert age_s < 5
    os.utime(mine.folder / "heartbeat", (1e9, 1e9))
    age_s = healthcheck.newest_age_s(tmp_path, mine.folder.name)
    assert age_s is not None
    assert age_s > healthcheck.FRESH_S
    assert healthcheck.newest_age_s(tmp_path, "another") is None
    mine.release()
