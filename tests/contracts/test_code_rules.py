"""The code rules hold in every file of the product, and each rule finds the fault that it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.contracts import rules

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "core", "embedded", "migrations", "sdk/netmill", "worker")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def faults(rule, source: str, path: str) -> list[str]:
    return [f"{path}:{line} {message}" for line, message in rule(ast.parse(source), path)]


def test_the_files_are_found() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == {folder.split("/")[0] for folder in FOLDERS}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule) -> None:
    found = [line for path in SOURCES for line in faults(rule, path.read_text(), path.relative_to(ROOT).as_posix())]
    assert not found, "\n" + "\n".join(found)


LONG_ROUTE = "def read():\n    '''Docs.'''\n" + "    value = 1\n" * 16
PLANTED = [
    (rules.commits, "api/deps.py", "session.commit()"),
    (rules.commits, "core/services/jobs.py", "def f(s):\n    s.connection().commit()"),
    (rules.queries, "api/routes/jobs.py", "from sqlalchemy import select"),
    (rules.queries, "worker/supervisor.py", "import sqlalchemy as sa\nquery = sa.update(jobs)"),
    (rules.queries, "worker/supervisor.py", "from sqlalchemy.dialects.postgresql import insert"),
    (rules.dangerous_calls, "core/data/csv.py", "eval(text)"),
    (rules.dangerous_calls, "core/data/npz.py", "import numpy as np\nnp.load(file, allow_pickle=True)"),
    (rules.dangerous_calls, "core/data/npz.py", "import numpy as np\nnp.load(file, allow_pickle=trusted)"),
    (rules.dangerous_calls, "core/engine/state.py", "import torch\ntorch.load(path)"),
    (rules.dangerous_calls, "core/engine/state.py", "from pickle import loads as read\nread(data)"),
    (rules.dangerous_calls, "core/engine/state.py", "import torch as t\nt.load(path, weights_only=True)"),
    (rules.late_imports, "core/services/jobs.py", "def f():\n    import torch"),
    (rules.late_imports, "api/app.py", "async def f():\n    if x:\n        from core import db"),
    (rules.long_routes, "api/routes/jobs.py", LONG_ROUTE),
]


@pytest.mark.parametrize(("rule", "path", "source"), PLANTED, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_fault_is_found(rule, path: str, source: str) -> None:
    assert faults(rule, source, path)


ALLOWED = [
    (rules.commits, "core/db/session.py", "session.commit()"),
    (rules.queries, "core/services/jobs.py", "from sqlalchemy import select"),
    (rules.queries, "core/data/frame.py", "frame.select('a')"),
    (rules.queries, "api/deps.py", "from sqlalchemy.orm import Session"),
    (rules.dangerous_calls, "core/engine/step.py", "model.eval()"),
    (rules.dangerous_calls, "core/data/npz.py", "import numpy as np\nnp.load(file, allow_pickle=False)"),
    (rules.late_imports, "sdk/netmill/cli.py", "def f():\n    import rich"),
    (rules.long_routes, "api/routes/jobs.py", LONG_ROUTE.replace("    value = 1\n", "", 1)),
    (rules.long_routes, "api/stream.py", LONG_ROUTE),
]


@pytest.mark.parametrize(("rule", "path", "source"), ALLOWED, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_meant_passes(rule, path: str, source: str) -> None:
    assert not faults(rule, source, path)
