"""Who may do what: keys, scopes, projects, and a server without keys that only its own machine reaches."""

from __future__ import annotations

from typing import Any

import pytest

from api.app import Refused, create_app
from core.clock import utc_now
from tests.api.conftest import ADMIN, IRIS, Live, free_settings

BODIES = {"continue": b'{"epochs": 1}', "predict": b'{"rows": [{}]}'}
URL = {"database_url": "sqlite:////nowhere/netmill.db"}


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0"},
        {"host": "192.168.1.5"},
        {"host": "netmill.example.org"},
        {"mode": "server"},
        {"auth": "keys"},
        {"auth": "keys", "mode": "server", "host": "0.0.0.0"},
    ],
)
def test_what_would_leave_the_service_open_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="NETMILL_ADMIN_KEY"):
        create_app(free_settings(**URL, **settings))


@pytest.mark.parametrize("settings", [{}, {"host": "::1"}, {"host": "localhost"}, {"auth": "keys", "admin_key": ADMIN}])
def test_loopback_without_keys_and_anywhere_with_keys_is_fine(settings: dict[str, Any]) -> None:
    create_app(free_settings(**URL, **settings))


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.org", "", "192.168.0.1:8000", "[::2]", "[x"])
def test_without_keys_a_foreign_host_is_turned_away(live: Live, host: str) -> None:
    answer = live.http.get("/v1/jobs", headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert live.http.post("/v1/jobs", json=IRIS, headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:80", "me.localhost:1"])
def test_without_keys_every_name_of_this_machine_is_answered(live: Live, host: str) -> None:
    assert live.http.get("/v1/jobs", headers={"Host": host}).status_code == 200


def test_without_keys_a_page_of_another_site_changes_nothing(live: Live) -> None:
    for origin in ("https://evil.example.org", "null", "http://localhost:1"):
        assert live.http.post("/v1/jobs", json=IRIS, headers={"Origin": origin}).status_code == 403
    assert live.http.post("/v1/plan", json=IRIS, headers={"Origin": live.url}).status_code == 200


def new_key(guarded: Live, project: str, *scopes: str, **more: Any) -> dict[str, str]:
    body = {"project": project, "scopes": list(scopes), **more}
    answer = guarded.http.post("/v1/keys", json=body)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['key']}", "id": answer.json()["id"]}


def test_with_keys_any_host_is_answered(guarded: Live) -> None:
    assert guarded.http.get("/v1/jobs", headers={"Host": "netmill.example.org"}).status_code == 200


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nm_wrong"}, {"Authorization": f"Basic {ADMIN}"}])
def test_no_key_or_a_wrong_one_is_401(guarded: Live, header: dict[str, str]) -> None:
    client = {"Authorization": "", **header}
    answer = guarded.http.get("/v1/jobs", headers=client)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthenticated"


def operations(guarded: Live) -> list[tuple[str, str]]:
    """Every call of the surface that a key guards, with ids filled in."""
    document = guarded.http.get("/openapi.json").json()
    open_to_all = {"/", "/healthz", "/readyz", "/metrics"}
    return [(method, path) for path, calls in document["paths"].items() if path not in open_to_all for method in calls]


def test_every_call_but_health_needs_a_key(guarded: Live) -> None:
    for method, path in operations(guarded):
        address = path.replace("{job_id}", "job_1").replace("{checkpoint_id}", "ckpt_1").replace("{ref}", "iris")
        answer = guarded.http.request(method.upper(), address, headers={"Authorization": ""}, content=b"{")
        assert answer.status_code == 401, (method, path, answer.text)


def test_a_body_is_not_read_for_one_without_a_key(guarded: Live) -> None:
    big = b" " * (2 << 20)
    answer = guarded.http.post("/v1/jobs", content=big, headers={"Authorization": ""})
    assert answer.status_code == 401


def test_a_reader_reads_and_a_writer_writes(guarded: Live) -> None:
    reader, writer = new_key(guarded, "scopes", "read"), new_key(guarded, "scopes", "write")
    assert guarded.http.post("/v1/jobs", json=IRIS, headers=reader).status_code == 403
    made = guarded.http.post("/v1/jobs", json=IRIS, headers=writer)
    assert made.status_code == 201
    address = f"/v1/jobs/{made.json()['id']}"
    assert guarded.http.get(address, headers=reader).status_code == 200
    for method, path in [("POST", "/cancel"), ("POST", "/pause"), ("POST", "/clone"), ("DELETE", "")]:
        assert guarded.http.request(method, address + path, headers=reader).status_code == 403
    upload = guarded.http.post("/v1/datasets?format=csv&name=x", content=b"a\n1", headers=reader)
    assert upload.status_code == 403
    for path in ("/v1/keys", "/v1/usage"):
        assert guarded.http.get(path, headers=writer).status_code == 403
    assert guarded.http.post("/v1/keys", json={}, headers=writer).status_code == 403


def test_another_projects_things_do_not_exist(guarded: Live) -> None:
    ours, theirs = new_key(guarded, "ours", "write"), new_key(guarded, "theirs", "write")
    job = guarded.http.post("/v1/jobs", json=IRIS, headers=ours).json()["id"]
    content = guarded.finish(job)
    done = guarded.http.get(f"/v1/jobs/{job}", headers=ours).json()
    checkpoint = done["result"]["best_checkpoint"]
    upload = guarded.http.post("/v1/datasets?format=csv&name=mine", content=b"a,b\n1,2\n", headers=ours)
    names = {"{job_id}": job, "{checkpoint_id}": checkpoint, "{ref}": upload.json()["id"], "{key_id}": ours["id"]}
    assert guarded.http.get(f"/v1/checkpoints/{checkpoint}/content", headers=ours).content == content
    tried = 0
    for method, template in operations(guarded):
        if "{" not in template or "{name}" in template or "{key_id}" in template:
            continue
        path = template
        for name, value in names.items():
            path = path.replace(name, value)
        body = BODIES.get(path.rpartition("/")[2]) if method == "post" else None
        answer = guarded.http.request(method.upper(), path, headers=theirs, content=body)
        assert answer.status_code == 404, (method, path, answer.text)
        tried += 1
    assert tried >= 18
    for path in ("/v1/jobs", "/v1/datasets"):
        found = guarded.http.get(path, headers=theirs).json()["data"]
        assert not {entry["id"] for entry in found} & set(names.values())
    assert guarded.http.get(f"/v1/jobs/{job}", headers=ours).status_code == 200


def test_a_replay_is_for_the_project_that_asked(guarded: Live) -> None:
    ours, theirs = new_key(guarded, "ours", "write"), new_key(guarded, "theirs", "write")
    same = {"Idempotency-Key": "the-same"}
    first = guarded.http.post("/v1/jobs", json=IRIS, headers={**ours, **same})
    second = guarded.http.post("/v1/jobs", json=IRIS, headers={**theirs, **same})
    assert first.json()["id"] != second.json()["id"]


def test_revoked_and_expired_keys_end(guarded: Live) -> None:
    key = new_key(guarded, "ends", "read")
    assert guarded.http.get("/v1/jobs", headers=key).status_code == 200
    assert guarded.http.delete(f"/v1/keys/{key['id']}").status_code == 204
    assert guarded.http.get("/v1/jobs", headers=key).status_code == 401
    gone = {"project": "ends", "scopes": ["read"], "expires_at": utc_now().replace(year=2020).isoformat()}
    assert guarded.http.post("/v1/keys", json=gone).status_code == 422


def test_a_key_is_shown_once(guarded: Live) -> None:
    body = {"project": "shown", "scopes": ["read"], "name": "lab"}
    same = {"Idempotency-Key": "shown-once"}
    first = guarded.http.post("/v1/keys", json=body, headers=same).json()
    again = guarded.http.post("/v1/keys", json=body, headers=same).json()
    assert first["key"].startswith("nm_")
    assert again == {**first, "key": None}
    listed = guarded.http.get("/v1/keys", params={"limit": 200}).text
    assert first["id"] in listed
    assert first["key"] not in listed


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scopes": ["read"]}, "/project"),
        ({"project": "p", "scopes": []}, "/scopes"),
        ({"project": "p", "scopes": ["root"]}, "/scopes/0"),
        ({"project": "p/../q", "scopes": ["read"]}, "/project"),
        ({"project": "p", "scopes": ["read"], "expires_at": "tomorrow"}, "/expires_at"),
        ({"project": "p", "scopes": ["read"], "colour": 1}, "/colour"),
    ],
)
def test_a_faulty_key_names_its_fault(guarded: Live, body: dict[str, Any], pointer: str) -> None:
    answer = guarded.http.post("/v1/keys", json=body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


def test_usage_is_told_by_project(guarded: Live) -> None:
    rows = {row["project"]: row for row in guarded.http.get("/v1/usage").json()["data"]}
    assert rows["ours"]["jobs"] >= 1
    assert rows["ours"]["bytes_stored"] > 0
