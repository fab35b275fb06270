"""No secret reaches a log line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from api.logs import HIDDEN, hide

KEY = "nm_0123456789abcdefABCDEF_-xyz"


@pytest.mark.parametrize(
    "value",
    [
        f"the key {KEY} is unknown",
        {"Authorization": f"Bearer {KEY}"},
        {"nested": [{"text": KEY}]},
        "postgresql://netmill:hunter2-nm@db:5432/netmill",
        {"password": "hunter2-nm"},
        {"NETMILL_ADMIN_KEY": "anything-nm"},
    ],
)
def test_keys_and_passwords_are_hidden(value: object) -> None:
    text = json.dumps(hide(value))
    assert HIDDEN in text
    assert "hunter2" not in text
    assert KEY not in text
    assert "anything" not in text


def test_the_rest_stays() -> None:
    assert hide({"path": "/v1/jobs", "ms": 1.5, "ids": ["job_1"]}) == {"path": "/v1/jobs", "ms": 1.5, "ids": ["job_1"]}


def test_a_line_of_either_library_is_one_json_object_without_secrets() -> None:
    program = f"""
import logging, structlog
from api.logs import configure
configure("INFO", "json")
structlog.contextvars.bind_contextvars(request_id="r1")
structlog.get_logger("a").info("one", token="{KEY}")
logging.getLogger("b").warning("two %s", "{KEY}")
try:
    raise ValueError("{KEY}")
except ValueError:
    logging.getLogger("c").exception("three")
"""
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert all(line["request_id"] == "r1" for line in lines)
    assert KEY not in result.stderr
    assert "ValueError" in lines[2]["exception"]
    assert logging.getLogger().level == logging.WARNING, "this process's logging is left alone"
