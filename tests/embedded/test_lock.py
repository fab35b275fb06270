"""One owner of a data folder at a time, whatever happened to the one before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.lock import FolderInUse, own

OWNER = "import sys, time; from pathlib import Path; from embedded.lock import own\n"
OWNER += "with own(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"


@pytest.fixture
def other_owner(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that owns the folder."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"mine\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_owner_is_told_whose_it_is(tmp_path: Path, other_owner: subprocess.Popen[bytes]) -> None:
    with pytest.raises(FolderInUse, match=f"process {other_owner.pid}") as refused, own(tmp_path):
        pytest.fail("owned twice")
    assert refused.value.pid == other_owner.pid
    assert str(tmp_path) in str(refused.value)
    assert "--data-dir" in str(refused.value)


def test_a_killed_owner_leaves_no_lock(tmp_path: Path, other_owner: subprocess.Popen[bytes]) -> None:
    other_owner.kill()
    other_owner.wait()
    with own(tmp_path):
        assert (tmp_path / "owner.lock").read_text() == f"{os.getpid()}\n"


def test_a_child_does_not_keep_the_folder(tmp_path: Path) -> None:
    with own(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with own(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()


def test_the_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with own(tmp_path):
            pass
