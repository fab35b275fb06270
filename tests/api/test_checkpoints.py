"""Checkpoints: listed, downloaded whole and in parts, removed."""

from __future__ import annotations

import hashlib

import pytest
from safetensors.numpy import load

from tests.api.conftest import Live


@pytest.fixture(scope="module")
def trained(live: Live) -> tuple[str, str, bytes]:
    """A job, its checkpoint and the checkpoint's content."""
    job_id = live.submit()
    content = live.finish(job_id)
    checkpoint: str = live.http.get(f"/v1/jobs/{job_id}").json()["result"]["best_checkpoint"]
    return job_id, checkpoint, content


def test_a_checkpoint_is_described(live: Live, trained: tuple[str, str, bytes]) -> None:
    job_id, checkpoint, content = trained
    one = live.http.get(f"/v1/checkpoints/{checkpoint}").json()
    assert one.items() >= {"id": checkpoint, "job_id": job_id, "epoch": 3, "step": 12, "is_best": True}.items()
    assert one["sha256"] == hashlib.sha256(content).hexdigest()
    assert one["bytes"] == len(content)
    assert live.http.get(f"/v1/jobs/{job_id}/checkpoints").json() == {"data": [one], "next_cursor": None}


def test_its_content_is_one_safetensors_file(live: Live, trained: tuple[str, str, bytes]) -> None:
    _, checkpoint, content = trained
    answer = live.http.get(f"/v1/checkpoints/{checkpoint}/content")
    assert answer.content == content
    assert load(answer.content)["0.weight"].shape == (8, 4)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'


@pytest.mark.parametrize(
    ("header", "start", "end"), [("bytes=0-7", 0, 8), ("bytes=10-", 10, None), ("bytes=-4", -4, None)]
)
def test_a_part_is_206(live: Live, trained: tuple[str, str, bytes], header: str, start: int, end: int | None) -> None:
    _, checkpoint, content = trained
    answer = live.http.get(f"/v1/checkpoints/{checkpoint}/content", headers={"Range": header})
    expected = content[start:end]
    assert (answer.status_code, answer.content) == (206, expected)
    begin = start % len(content)
    assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(expected) - 1}/{len(content)}"


def test_ranges_that_cannot_be_or_no_longer_fit(live: Live, trained: tuple[str, str, bytes]) -> None:
    _, checkpoint, content = trained
    address = f"/v1/checkpoints/{checkpoint}/content"
    behind = live.http.get(address, headers={"Range": f"bytes={len(content)}-"})
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(content)}")
    changed = live.http.get(address, headers={"Range": "bytes=0-7", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, content)
    several = live.http.get(address, headers={"Range": "bytes=0-1,3-4"})
    assert (several.status_code, several.content) == (200, content)
    etag = changed.headers["etag"]
    assert live.http.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert live.http.get(address, headers={"If-Range": etag, "Range": "bytes=0-0"}).status_code == 206


def test_the_safetensors_export_needs_no_worker(live: Live, trained: tuple[str, str, bytes]) -> None:
    job_id, checkpoint, content = trained
    answer = live.http.get(f"/v1/jobs/{job_id}/export")
    assert answer.content == content
    assert f'filename="{job_id}.safetensors"' in answer.headers["content-disposition"]
    for which in ("last", checkpoint):
        assert live.http.get(f"/v1/jobs/{job_id}/export", params={"checkpoint": which}).content == content
    assert live.http.get(f"/v1/jobs/{job_id}/export", params={"checkpoint": "ckpt_none"}).status_code == 404


def test_a_removed_checkpoint_is_gone(live: Live) -> None:
    job_id = live.submit()
    live.finish(job_id)
    checkpoint = live.http.get(f"/v1/jobs/{job_id}").json()["result"]["best_checkpoint"]
    assert live.http.delete(f"/v1/checkpoints/{checkpoint}").status_code == 204
    for path in ("", "/content"):
        assert live.http.get(f"/v1/checkpoints/{checkpoint}{path}").status_code == 404
