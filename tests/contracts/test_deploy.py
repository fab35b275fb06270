"""What can be said about the deployment without a Docker engine; scripts/compose_smoke.py says the rest with one."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from core.data.builtin import BUILTIN, source_file

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def make_env(target: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "make_env.py", target], check=True, capture_output=True)


def values(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_env_is_random_private_and_never_overwritten(tmp_path: Path) -> None:
    first, second = tmp_path / "a.env", tmp_path / "b.env"
    make_env(first)
    make_env(second)
    secrets = {name: value for name, value in values(first).items() if "PASSWORD" in name or "KEY" in name}
    assert all(len(value) >= 32 and value != values(second)[name] for name, value in secrets.items())
    assert secrets["NETMILL_ADMIN_KEY"].startswith("nm_")
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    before = first.read_text()
    make_env(first)
    assert first.read_text() == before


def test_every_secret_is_required_and_has_no_default(tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    secrets = {name for name in values(tmp_path / ".env") if "PASSWORD" in name or "KEY" in name}
    uses = re.findall(r"\$\{([A-Z_]+)([^}]*)\}", COMPOSE)
    assert secrets == {name for name, rest in uses if rest.startswith(":?")}
    assert not [name for name, rest in uses if name in secrets and not rest.startswith(":?")]


def test_workers_can_be_scaled() -> None:
    assert "container_name" not in COMPOSE
    assert "hostname" not in COMPOSE.replace("host name", "")


def test_images_are_the_ones_that_the_lab_and_the_world_both_have() -> None:
    assert set(re.findall(r"^FROM ([^\s]+:[^\s]+)", DOCKERFILE, re.MULTILINE)) == {"python:3.11-slim-bookworm"}
    assert {"postgres:15", "redis:7"} <= set(re.findall(r"image: (\S+)", COMPOSE))
    assert not re.search(r"^# *syntax|--mount", DOCKERFILE, re.MULTILINE)


def test_the_api_image_has_no_torch() -> None:
    script = [sys.executable, ROOT / "docker" / "requirements.py", "api"]
    lines = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines
    assert not [line for line in lines if line.startswith(("torch", "onnx"))]


def copied_into(image: str) -> list[str]:
    """Files and folders of the source that the image holds."""
    stage = re.split(r"^FROM .* AS ", DOCKERFILE, flags=re.MULTILINE)
    lines = next(text for text in stage if text.startswith(f"{image}\n")).splitlines()
    return [line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line]


def test_the_worker_image_has_the_rows_of_every_built_in_set() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, info in BUILTIN.items():
        if info.is_made:
            continue
        file = source_file(name).relative_to(ROOT).as_posix()
        for places in (copied_into("worker"), sent):
            assert any(file == place or file.startswith(f"{place}/") for place in places), file


def asked_for() -> Iterator[Requirement]:
    """What pyproject.toml of the server and of the client name; of the extras not the benchmark's, whose pins are its
    own."""
    for file in ("pyproject.toml", "sdk/pyproject.toml"):
        project = tomllib.loads((ROOT / file).read_text())["project"]
        extras = project.get("optional-dependencies", {})
        for lines in (project["dependencies"], *(lines for name, lines in extras.items() if name != "bench")):
            yield from map(Requirement, lines)


def test_everything_that_setup_installs_is_pinned() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines}
    waiting, seen = list(asked_for()), set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        key = (name, frozenset(wanted.extras))
        # setuptools comes with pip; the CUDA build of torch brings a tree of its own
        if key in seen or name in {"setuptools", "netmill"} or name.startswith(("cuda", "nvidia", "triton")):
            continue
        seen.add(key)
        assert name in pinned, f"{name} is asked for and constraints.txt does not pin it"
        for line in metadata.requires(name) or ():
            further = Requirement(line)
            if further.marker is None or any(
                further.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
            ):
                waiting.append(further)
