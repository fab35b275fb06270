"""Data sets over HTTP; an upload leaves no file, whatever becomes of it."""

from __future__ import annotations

import gzip
import io
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import awkward
import h5py
import numpy as np
import pytest
import uproot

from api import uploads
from core.spec.limits import Limits
from tests.api.conftest import Live, free_settings, serving

CSV = b"age,city,label\n" + b"".join(b"%d,%s,%s\n" % (n, b"ab"[n % 2 :][:1], b"yn"[n % 2 :][:1]) for n in range(50))


@pytest.fixture(autouse=True)
def _nothing_is_left(live: Live) -> Iterator[None]:
    yield
    assert not list(live.parts.uploads_dir.iterdir())


def post(live: Live, content: bytes, **query: str) -> tuple[int, dict[str, object]]:
    answer = live.http.post("/v1/datasets", params=query, content=content)
    return answer.status_code, answer.json()


def test_an_upload_is_described_and_can_be_read_by_id_and_name(live: Live) -> None:
    status, made = post(live, CSV, name="people", format="csv")
    assert status == 201
    assert (made["rows"], made["builtin"], made["kind"]) == (50, False, "table")
    columns = {column["name"]: column["type"] for column in made["columns"]}  # type: ignore[attr-defined]
    assert columns == {"age": "integer", "city": "string", "label": "string"}
    for ref in (made["id"], "people"):
        assert live.http.get(f"/v1/datasets/{ref}").json() == made
        rows = live.http.get(f"/v1/datasets/{ref}/preview", params={"rows": 2}).json()["data"]
        assert rows == [{"age": 0, "city": "a", "label": "y"}, {"age": 1, "city": "b", "label": "n"}]
        assert live.http.get(f"/v1/datasets/{ref}/profile").json()["columns"]


def test_the_same_content_is_stored_once(live: Live) -> None:
    first = post(live, CSV, name="once", format="csv")
    again = post(live, CSV, name="once", format="csv")
    packed = post(live, gzip.compress(CSV), name="once", format="csv")
    assert (first[0], again[0], packed[0]) == (201, 200, 200)
    assert first[1]["id"] == again[1]["id"] == packed[1]["id"]
    other = post(live, CSV + b"1,a,y\n", name="once", format="csv")
    assert other[0] == 409
    assert post(live, CSV, name="iris", format="csv")[0] == 409


def test_arrays_are_described(live: Live) -> None:
    file = io.BytesIO()
    np.savez(file, x=np.zeros((6, 1, 4, 4), np.float32), y=np.arange(6) % 2)
    status, made = post(live, file.getvalue(), name="images", format="npz")
    assert status == 201, made
    shapes = {array["name"]: array["shape"] for array in made["arrays"]}  # type: ignore[attr-defined]
    assert shapes["x"] == [1, 4, 4]


@pytest.mark.parametrize(
    ("content", "file_format", "status"),
    [
        (b"a,b\n1,2\n3\n", "csv", 422),
        (b"", "csv", 422),
        (b"\x00\x01\x02" * 100, "csv", 422),
        (b"a\n1\n", "parquet", 422),
        (b"a\n1\n", "npz", 422),
        (b"a\n1\n", "pickle", 415),
        (b"a\n1\n", "", 415),
    ],
)
def test_what_cannot_be_read_is_refused(live: Live, content: bytes, file_format: str, status: int) -> None:
    received, body = post(live, content, name="bad", format=file_format)
    assert (received, body["status"]) == (status, status), body
    assert live.http.get("/v1/datasets/bad").status_code == 404


def test_trees_of_a_root_file_become_classes(live: Live, tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        for tree in ("sig", "bkg"):
            file.mktree(tree, {"pt": "float64", "jet": "var * float64"})
            file[tree].extend({"pt": np.arange(5.0), "jet": awkward.Array([[1.0], [], [], [2.0, 3.0], []])})
    content = (tmp_path / "a.root").read_bytes()
    query = [("name", "trees"), ("format", "root"), ("tree", "sig"), ("tree", "bkg"), ("label", "s,b")]
    answer = live.http.post("/v1/datasets", params=query, content=content)
    assert answer.status_code == 201
    made = answer.json()
    assert [column["name"] for column in made["columns"]] == ["pt", "njet", "label"]
    assert [note[:15] for note in made["notes"]] == ["left out of sig", "left out of bkg"]
    assert live.http.get("/v1/datasets/trees").json() == made
    status, refused = post(live, content, name="which", format="root")
    assert status == 422
    assert [fault["pointer"] for fault in refused["errors"]] == ["/tree"]  # type: ignore[attr-defined]
    assert "the file has sig, bkg" in str(refused["detail"])


def test_parameters_of_another_format_are_refused_before_the_body(live: Live) -> None:
    status, refused = post(live, b"", format="csv", tree="t", x="k")
    assert status == 422
    assert [fault["pointer"] for fault in refused["errors"]] == ["/tree", "/x"]  # type: ignore[attr-defined]


def test_data_sets_of_an_hdf5_file_become_arrays(live: Live, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["QCD"], file["TT"] = np.zeros((3, 4, 5, 1)), np.ones((2, 4, 5, 1))
    content = (tmp_path / "a.h5").read_bytes()
    status, made = post(live, content, name="h5", format="hdf5", x="QCD,TT", label="QCD,top", channels="last")
    assert status == 201
    assert [(each["name"], each["shape"]) for each in made["arrays"]] == [("x", [1, 4, 5]), ("y", [])]  # type: ignore[attr-defined]
    status, refused = post(live, content, format="hdf5")
    assert status == 422
    assert "QCD float64 (3, 4, 5, 1)" in str(refused["detail"])


def test_a_ragged_line_is_named(live: Live) -> None:
    _, body = post(live, b"a,b\n1,2\n3\n", format="csv")
    assert "line 3" in str(body["detail"])


def test_a_data_set_in_use_stays(live: Live) -> None:
    made = post(live, CSV, name="used", format="csv")[1]
    spec = {"data": {"dataset": "used", "target": "label"}, "network": {"family": "perceptron"}}
    job = live.http.post("/v1/jobs", json=spec).json()["id"]
    assert live.http.delete(f"/v1/datasets/{made['id']}").status_code == 409
    live.http.post(f"/v1/jobs/{job}/cancel")
    assert live.http.delete(f"/v1/datasets/{made['id']}").status_code == 204
    assert live.http.get("/v1/datasets/used").status_code == 404
    assert live.http.delete("/v1/datasets/iris").status_code in (403, 409)


def test_the_list_holds_ours_first_and_the_built_in(live: Live) -> None:
    post(live, CSV, name="listed", format="csv")
    page = live.http.get("/v1/datasets", params={"limit": 200}).json()
    assert page["data"][0]["name"] == "listed"
    assert {"digits", "iris", "higgs"} <= {entry["name"] for entry in page["data"] if entry["builtin"]}


def test_an_upload_that_breaks_off_leaves_nothing(live: Live) -> None:
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /v1/datasets?format=csv&name=half HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000000\r\n\r\n"
        connection.sendall(head.encode() + b"a,b\n" * 400_000)
        deadline = time.monotonic() + 5
        while not list(live.parts.uploads_dir.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(live.parts.uploads_dir.iterdir())
    while list(live.parts.uploads_dir.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert live.http.get("/v1/datasets/half").status_code == 404


def test_an_upload_above_the_limit_is_413_while_it_comes(tmp_path: Path, sqlite_url: str) -> None:
    settings = free_settings(database_url=sqlite_url, data_dir=tmp_path / "data", limits=Limits(upload_bytes=100_000))

    def pieces() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"a,b\n" * 250

    with serving(settings) as small:
        answer = small.http.post("/v1/datasets?format=csv", content=pieces())
        assert answer.status_code == 413
        assert not list(small.parts.uploads_dir.iterdir())


def test_old_left_overs_go_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "upload-old").mkdir()
    (tmp_path / "upload-new").mkdir()
    long_ago = time.time() - 2 * uploads.STALE_S
    os.utime(tmp_path / "upload-old", (long_ago, long_ago))
    uploads.clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["upload-new"]
