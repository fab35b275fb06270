"""The documents are executed: README's shell blocks and every example run against a real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import demo
from tests.support.service import Service

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: the README starts from an empty one."""
    service = Service(tmp_path_factory.mktemp("docs") / "data", environment={"NETMILL_THREADS": "1"})
    service.folder.mkdir()
    service.start()
    yield service
    service.stop()


def test_the_quick_start_runs_as_it_is_printed(service: Service, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    # one shell for all blocks, as for a reader who pastes them one after the other
    script = "\n".join(["set -euo pipefail", *blocks("bash")]).replace(ADDRESS, str(service.http.base_url).rstrip("/"))
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert '"probability"' in result.stdout
    assert (tmp_path / "curve.svg").read_text().count("<svg") == 1
    assert (tmp_path / "model.onnx").stat().st_size > 1000
    assert (tmp_path / "moons.png").read_bytes().startswith(b"\x89PNG")
    of_the_zoo, job = service.http.get("/v1/jobs", params={"limit": 2}).json()["data"]
    assert of_the_zoo["name"] == "moons_hidden"
    assert (job["status"], job["progress"]["epoch"]) == ("succeeded", 7)
    assert job["result"]["metrics"]["test.auc"] > 0.6


def test_the_curl_lines_of_the_demo_run_as_it_prints_them(service: Service, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    spec = json.loads((ROOT / "examples" / "higgs.json").read_text())
    spec["data"]["dataset"] = demo.DATASET
    spec["training"]["epochs"] = 1
    (tmp_path / demo.OUTPUT).mkdir()
    (tmp_path / demo.OUTPUT / "higgs.json").write_text(json.dumps(spec))
    lines = demo.curl_lines(str(service.http.base_url).rstrip("/"))
    # an error of the service shall fail the test, and a reader shall see it
    script = "\n".join(["set -euo pipefail", *lines]).replace("curl ", "curl --fail-with-body -sS ")
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert '"succeeded"' in result.stdout
    assert (tmp_path / demo.OUTPUT / "learning-curve.svg").read_text().count("<svg") == 1
    assert (tmp_path / demo.OUTPUT / "model.onnx").stat().st_size > 1000


def test_the_python_lines_run_as_they_are_printed(service: Service) -> None:
    for block in blocks("python"):
        code = block.replace(ADDRESS, str(service.http.base_url).rstrip("/"))
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stderr
        assert float(result.stdout) > 0.5


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.json")), ids=lambda path: path.stem)
def test_an_example_trains_as_it_is(service: Service, example: Path) -> None:
    job = service.until(service.submit(json.loads(example.read_text())), "succeeded", timeout_s=100)
    assert job["result"]["metrics"]


def test_the_table_of_the_api_names_every_call(service: Service) -> None:
    paths = service.http.get("/openapi.json").json()["paths"]
    served = {
        (method.upper(), re.sub(r"\{[^}]*\}", "{}", path)) for path, methods in paths.items() for method in methods
    }
    named = {
        (method, re.sub(r"\{[^}]*\}", "{}", path))
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]*)", README)
    }
    assert named - {("GET", "/openapi.json")} == served


@pytest.mark.parametrize("script", ["write_settings.py", "write_analyses.py"])
def test_generated_tables_are_up_to_date(script: str) -> None:
    command = [sys.executable, f"scripts/{script}", "--check"]
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert result.returncode == 0, "a table in docs/ is out of date: run make format"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert not missing


def test_make_targets_that_are_written_about_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    written = {
        word
        for document in DOCUMENTS
        for word in re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    }
    assert written <= targets


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\]\(([0-9]{4}-[^)]+)\)", (folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("[0-9]*.md")}
