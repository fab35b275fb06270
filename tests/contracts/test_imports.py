"""Each import contract fails when somebody breaks it: a fault is planted in a copy of the tree for each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
# contract: (file, line added to it), each a fault that somebody in a hurry could make
PLANTED = [
    ("processes", "api/__init__.py", "import worker"),
    ("processes", "core/services/__init__.py", "import api"),
    ("core", "core/spec/__init__.py", "import core.data"),
    ("core", "core/db/__init__.py", "import core.services"),
    ("core", "core/engine/__init__.py", "import core.storage"),
    ("core", "core/ids.py", "import core.spec"),
    ("core", "core/helpers.py", "'''A module that has no place in the layers.'''"),
    ("torch", "core/data/__init__.py", "import torch"),
    ("torch", "worker/__init__.py", "from torch import nn"),
    ("scikit-learn", "core/engine/baselines/beside.py", "import sklearn"),
    ("light-api", "api/__init__.py", "import core.engine.run"),
    ("light-api", "core/services/__init__.py", "import core.engine"),
    ("pure-core", "core/engine/__init__.py", "import sqlalchemy.orm"),
    ("pure-core", "core/spec/__init__.py", "from fastapi import Body"),
    ("celery", "core/services/__init__.py", "from celery import Celery"),
    ("http", "core/services/__init__.py", "from fastapi import HTTPException"),
    ("settings", "core/services/__init__.py", "from core.settings import Settings"),
    ("sdk", "sdk/netmill/__init__.py", "import torch"),
    ("sdk", "sdk/netmill/__init__.py", "from core.spec import limits"),
]


def lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """import-linter over a tree, its own copy of `netmill` included."""
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [str(LINT), "--no-cache", *chosen],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'sdk'}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", tree)
    sources_only = shutil.ignore_patterns("__pycache__", "*.egg-info", "builtin", "zoo")
    for folder in ("api", "core", "embedded", "worker", "sdk/netmill"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=sources_only)
    return tree


def test_all_contracts_are_kept(pristine: Path) -> None:
    result = lint(pristine)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


def test_every_contract_has_a_planted_fault() -> None:
    assert {contract for contract, _, _ in PLANTED} == set(CONTRACTS)


@pytest.mark.parametrize(("contract", "file", "line"), PLANTED)
def test_a_planted_fault_breaks_its_contract(pristine: Path, contract: str, file: str, line: str) -> None:
    target = pristine / file
    before = target.read_text() if target.exists() else None
    target.write_text((before or "") + f"\n{line}\n")
    try:
        result = lint(pristine, contract)
    finally:
        target.unlink() if before is None else target.write_text(before)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{CONTRACTS[contract]['name']} BROKEN" in result.stdout.replace("\n", " "), result.stdout


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that a new process has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("api.app", {"torch", "sklearn", "onnx", "scipy"}),
        ("worker.app", {"torch", "fastapi", "matplotlib"}),
        ("worker.supervisor", {"torch", "fastapi", "matplotlib"}),
        ("core.engine.run", {"sqlalchemy", "celery", "fastapi", "redis"}),
        ("worker.zygote", {"sklearn", "scipy", "fastapi", "matplotlib"}),
        ("core.engine.baselines.child", {"torch", "sqlalchemy", "celery", "fastapi"}),
        ("core.spec.job", {"torch", "numpy", "polars", "sqlalchemy"}),
        ("netmill", {"torch", "fastapi", "sqlalchemy", "celery", "core"}),
        ("netmill.cli", {"torch", "fastapi", "sqlalchemy", "celery"}),
    ],
)
def test_a_process_loads_only_what_it_works_with(module: str, unwanted: set[str]) -> None:
    assert not loaded_by(f"import {module}") & unwanted
