"""The public surface: what is there is what was agreed, and the document tells all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from tests.api.conftest import Live, free_settings

SURFACE = Path(__file__).with_name("surface.txt")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = create_app(free_settings(database_url="sqlite:////nowhere.db")).openapi()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, calls in document["paths"].items()
        for method, operation in calls.items()
    ]


def test_the_surface_is_the_committed_one(document: dict[str, Any]) -> None:
    """A call that is missing here was promised to somebody; a new one is added to the file on purpose."""
    found = sorted(f"{path} {method}" for method, path, _ in operations(document))
    assert found == SURFACE.read_text().splitlines()


def test_every_call_names_the_errors_it_can_give(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        statuses = set(operation["responses"])
        assert operation["description"], path
        if not path.startswith("/v1"):
            continue
        assert {"401", "403", "422", "503"} <= statuses, path
        assert operation["security"] == [{"HTTPBearer": []}]
        if "{" in path:
            assert "404" in statuses, path
        if method == "POST":
            assert {"409", "413", "415"} <= statuses, path
        if method == "GET" and not path.startswith(("/v1/keys", "/v1/usage")):
            assert "304" in statuses, path
        for status, response in operation["responses"].items():
            if status >= "400":
                assert set(response["content"]) == {"application/problem+json"}, (path, status)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    used = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used <= schemas.keys()
    assert {"JobSpec", "Problem", "Job", "Fault"} <= schemas.keys()
    assert '"#/$defs/' not in text
    assert "HTTPValidationError" not in schemas


def test_bodies_have_schemas_and_examples(document: dict[str, Any]) -> None:
    bodies = {path: op["requestBody"]["content"] for method, path, op in operations(document) if "requestBody" in op}
    assert bodies["/v1/jobs"]["application/json"]["schema"] == {"$ref": "#/components/schemas/JobSpec"}
    assert all("example" in content["application/json"] for path, content in bodies.items() if path != "/v1/datasets")
    assert set(bodies["/v1/datasets"]) == {"application/octet-stream"}


def test_the_example_of_a_spec_can_be_planned(live: Live) -> None:
    document = live.http.get("/openapi.json").json()
    example = document["paths"]["/v1/plan"]["post"]["requestBody"]["content"]["application/json"]["example"]
    plan = live.http.post("/v1/plan", json=example).json()
    assert plan["parameters"] == 64 * 32 + 32 + 32 * 10 + 10
    assert plan.keys() >= {
        *("spec", "layers", "parameters", "flops_per_sample", "memory_bytes"),
        *("time_estimate_s", "lr_preview", "warnings"),
    }
    assert live.http.post("/v1/plan", json=plan["spec"]).json()["spec"] == plan["spec"]


def test_what_may_be_asked_for_is_served(live: Live) -> None:
    for path in ("/v1/schema", "/v1/catalog", "/v1/zoo"):
        first = live.http.get(path)
        assert first.status_code == 200
        assert live.http.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    catalog = live.http.get("/v1/catalog").json()
    assert catalog.keys() >= {
        *("layers", "activations", "inits", "losses"),
        *("metrics", "optimizers", "schedules", "families"),
    }
    assert live.http.get("/v1/schema").json()["properties"].keys() >= {"data", "network", "optimizer"}


def test_every_spec_of_the_zoo_can_be_planned(live: Live) -> None:
    zoo = live.http.get("/v1/zoo").json()["data"]
    assert len(zoo) >= 30
    for entry in zoo:
        one = live.http.get(f"/v1/zoo/{entry['name']}").json()
        assert one == entry
        assert live.http.post("/v1/plan", json=one["spec"]).status_code == 200, one["name"]


def test_every_spec_of_the_zoo_shows_its_picture(live: Live) -> None:
    for entry in live.http.get("/v1/zoo").json()["data"]:
        assert entry["links"]["self"] == f"/v1/zoo/{entry['name']}"
        first = live.http.get(entry["links"]["png"])
        assert (first.status_code, first.headers["content-type"]) == (200, "image/png")
        assert first.content.startswith(b"\x89PNG")
        seen = {"If-None-Match": first.headers["etag"]}
        assert live.http.get(entry["links"]["png"], headers=seen).status_code == 304
    assert live.http.get("/v1/zoo/none.png").status_code == 404


def test_the_root_leads_on(live: Live) -> None:
    places = live.http.get("/").json()
    for name in ("openapi", "docs", "schema", "catalog", "zoo"):
        assert live.http.get(places[name]).status_code == 200
