"""Lists, uploads, and where the client finds its service."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from netmill import Client
from netmill.files import format_of, stem_of
from tests.sdk.conftest import Reply, Script, Seen, job_body


def test_url_and_key_come_from_the_environment(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETMILL_URL", script.url + "/")
    monkeypatch.setenv("NETMILL_KEY", "nm_k")
    script.play(Reply(200, job_body()))
    with Client() as client:
        assert client.job("job_1").id == "job_1"
    assert script.seen[0].headers["Authorization"] == "Bearer nm_k"
    assert script.seen[0].headers["User-Agent"].startswith("netmill-python/")


def test_without_a_key_none_is_sent(script: Script) -> None:
    script.play(Reply(200, job_body()))
    script.client().job("job_1")
    assert "Authorization" not in script.seen[0].headers
    assert Client().url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(("limit", "expected"), [(None, 450), (1, 1), (200, 200), (201, 201), (1000, 450)])
def test_a_list_is_paged_to_its_end_or_limit(script: Script, limit: int | None, expected: int) -> None:
    def page(seen: Seen) -> Reply:
        query = parse_qs(urlsplit(seen.path).query)
        start = int(query.get("cursor", ["0"])[0])
        end = min(450, start + int(query["limit"][0]))
        data = [job_body(id=f"job_{n}") for n in range(start, end)]
        return Reply(200, {"data": data, "next_cursor": str(end) if end < 450 else None})

    script.route(page)
    ids = [job.id for job in script.client().jobs(status="succeeded", limit=limit)]
    assert ids == [f"job_{n}" for n in range(expected)]
    assert all("status=succeeded" in seen.path and "tag=" not in seen.path for seen in script.seen)


def test_an_upload_is_streamed_and_told(script: Script, tmp_path: Path) -> None:
    file = tmp_path / "events.csv.gz"
    file.write_bytes(bytes(range(256)) * 4096)
    script.play(Reply(503, {}), Reply(201, {"id": "ds_1", "name": "events", "rows": 3}))
    told: list[tuple[int, int]] = []
    stored = script.client().upload(file, on_bytes=lambda sent, total: told.append((sent, total)))
    assert (stored.id, stored.rows) == ("ds_1", 3)
    first, second = script.seen
    assert first.body == second.body == file.read_bytes()
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert parse_qs(urlsplit(first.path).query) == {"name": ["events"], "format": ["csv"]}
    assert told[-1] == (1 << 20, 1 << 20)
    assert len(told) == 2 * 4


def test_parts_of_a_file_are_named(script: Script, tmp_path: Path) -> None:
    (tmp_path / "events.root").write_bytes(b"root")
    script.play(Reply(201, {"id": "ds_1", "name": "events", "rows": 3, "notes": ["left out: a"]}))
    stored = script.client().upload(tmp_path / "events.root", tree=["s", "b"], label=["signal", "background"], x=None)
    assert stored.notes == ["left out: a"]
    query = parse_qs(urlsplit(script.seen[0].path).query)
    assert query == {"name": ["events"], "format": ["root"], "tree": ["s", "b"], "label": ["signal", "background"]}


@pytest.mark.parametrize(
    ("name", "kind", "stem"),
    [
        ("a.csv", "csv", "a"),
        ("a.CSV.gz", "csv", "a"),
        ("b.c.parquet", "parquet", "b.c"),
        ("x.npz", "npz", "x"),
        ("x.npy.gz", "npy", "x"),
        ("events.root", "root", "events"),
        ("jets.h5", "hdf5", "jets"),
        ("jets.HDF5.gz", "hdf5", "jets"),
    ],
)
def test_a_files_name_tells_its_format(name: str, kind: str, stem: str) -> None:
    assert format_of(Path(name)) == kind
    assert stem_of(Path(name)) == stem


@pytest.mark.parametrize("name", ["a", "a.gz", "a.xlsx", "csv"])
def test_a_name_that_tells_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="csv, hdf5, npy, npz, parquet, root"):
        format_of(Path(name))


def test_zoo_specs_can_be_trained_as_they_come(script: Script) -> None:
    script.play(Reply(200, {"name": "xor", "title": "t", "spec": {"data": {"dataset": "xor"}}}))
    assert script.client().zoo_spec("xor") == {"data": {"dataset": "xor"}}
