"""The command line: answers, JSON, exit codes, words."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from netmill import cli
from tests.sdk.conftest import Reply, Script, Seen, job_body, problem

DONE = job_body(
    status="succeeded", terminal=True, started_at="2026-11-23T16:00:01Z", finished_at="2026-11-23T16:00:13Z",
    result={"metrics": {"test.accuracy": 0.97123}, "best_checkpoint": "ckpt_1"},
    warnings=[
        {"code": "vanishing_gradients", "pointer": "/network/layers/0", "detail": "the first [layer]", "epoch": 1}
    ],
)  # fmt: skip


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide and without colours, whatever the terminal of the tests."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.json"
    path.write_text('{"data": {"dataset": "digits"}, "network": {"family": "perceptron"}}')
    return str(path)


def netmill(script: Script | None, *arguments: str, stdin: str | None = None) -> Result:
    """One call of the command line in this process."""
    where = ["--url", script.url] if script else []
    return CliRunner().invoke(cli.build(), [*where, *arguments], input=stdin)


def test_train_prints_the_id_alone_on_standard_output(script: Script, spec: str) -> None:
    script.play(Reply(201, job_body()))
    done = netmill(script, "train", spec)
    assert (done.exit_code, done.stdout) == (0, "job_1\n")
    assert "netmill logs job_1 --follow" in done.stderr


def test_train_reads_standard_input(script: Script) -> None:
    script.play(Reply(201, job_body()))
    done = netmill(script, "train", "-", "--json", stdin='{"network": {}}')
    assert json.loads(done.stdout)["id"] == "job_1"
    assert json.loads(script.seen[0].body) == {"network": {}}


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 1)])
def test_train_follow_tells_the_outcome_by_its_exit_code(script: Script, spec: str, status: str, code: int) -> None:
    error = {"code": "diverged", "detail": "loss is inf", "pointer": "/optimizer/lr", "hint": "lower it"}
    over = DONE | {"status": status, "error": error if status == "failed" else None}

    def answer(seen: Seen) -> Reply:
        if "/events" in seen.path:
            return Reply(200, {"data": [], "next_after": 0, "terminal": True})
        return Reply(201 if seen.method == "POST" else 200, job_body() if seen.method == "POST" else over)

    script.route(answer)
    done = netmill(script, "train", spec, "--follow")
    assert done.exit_code == code
    assert re.search(rf"status\s+{status}", done.stdout)
    assert ("diverged: loss is inf" in done.stdout) is (status == "failed")
    assert re.search(r"test\.accuracy\s+0\.9712", done.stdout)


def test_faults_are_printed_with_their_pointers(script: Script, spec: str) -> None:
    faults = [{"pointer": "/optimizer/lr", "code": "x", "detail": "received [-1], expected above 0"}]
    script.play(Reply(422, problem(422, "invalid", errors=faults)))
    done = netmill(script, "train", spec)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: d invalid [422 invalid]\n  /optimizer/lr: received [-1], expected above 0\n"
    as_json = netmill(script, "train", spec, "--json")
    assert json.loads(as_json.stderr)["error"]["errors"] == faults


def test_an_unreachable_service_has_its_own_exit_code() -> None:
    done = CliRunner().invoke(cli.build(), ["jobs", "--url", "http://127.0.0.1:9"], env={"NETMILL_URL": ""})
    assert done.exit_code == 3
    assert "netmill up" in done.stderr


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_file_that_is_no_spec_is_refused_here(script: Script, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    done = netmill(script, "train", str(tmp_path / "bad.json"))
    assert done.exit_code == 1
    assert "bad.json" in done.stderr
    assert script.seen == []


def test_a_missing_file_is_said(script: Script) -> None:
    said = netmill(script, "train", "nowhere.json").stderr
    assert said == "error: cannot use nowhere.json: No such file or directory; check the path and its permissions\n"


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"lr": NaN}', b"{"])
def test_what_is_not_json_is_said_with_the_files_name(script: Script, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    done = netmill(script, "plan", str(tmp_path / "bad.json"))
    assert (done.exit_code, script.seen) == (1, [])
    assert "bad.json is not JSON: " in done.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "localhost:8000/"])
def test_a_url_that_leads_nowhere_is_refused_in_words(url: str) -> None:
    done = CliRunner().invoke(cli.build(), ["jobs", "--url", url])
    assert done.exit_code == 1
    assert "expected http://HOST:PORT" in done.stderr


@pytest.mark.parametrize("key", ["nm_schlüssel", "nm_a\nb", "nm a"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(script: Script, key: str) -> None:
    done = netmill(script, "jobs", "--key", key)
    assert (done.exit_code, script.seen) == (1, [])
    assert "NETMILL_KEY" in done.stderr
    assert key not in done.output


@pytest.mark.parametrize("command", ["job", "delete", "cancel", "logs"])
def test_an_id_is_one_segment_of_the_path(script: Script, command: str) -> None:
    script.play(Reply(404, problem(404, "not_found")))
    assert netmill(script, command, "../datasets/x?y#z").exit_code == 1
    assert {seen.path.split("/")[-1] for seen in script.seen} == {"..%2Fdatasets%2Fx%3Fy%23z"}


def test_jobs_and_job_for_people_and_programs(script: Script) -> None:
    script.route(lambda seen: Reply(200, DONE if "job_1" in seen.path else {"data": [DONE], "next_cursor": None}))
    people = netmill(script, "jobs", "--status", "succeeded", "--tag", "a=b", "--limit", "7")
    assert re.search(r"job_1\s+digits\s+succeeded\s+0/20", people.stdout)
    assert script.seen[0].path == "/v1/jobs?status=succeeded&tag=a%3Db&limit=7"
    assert json.loads(netmill(script, "jobs", "--json").stdout)[0]["id"] == "job_1"
    one = netmill(script, "job", "job_1")
    assert re.search(r"took\s+12 s", one.stdout)
    assert "warning vanishing_gradients at /network/layers/0 (epoch 1): the first [layer]" in one.stdout
    assert json.loads(netmill(script, "job", "job_1", "--json").stdout)["result"]["best_checkpoint"] == "ckpt_1"


def test_job_sets_baselines_beside_the_network(script: Script) -> None:
    baselines = {
        "tree": {"metrics": {"test.accuracy": 0.9, "validation.accuracy": 0.8}, "time_s": 0.25},
        "boosting": {"error": {"code": "time_limit", "detail": "it took longer"}},
    }
    result = {"metrics": {"test.accuracy": 0.97123}, "best_checkpoint": "ckpt_1", "baselines": baselines}
    script.play(Reply(200, job_body(status="succeeded", terminal=True, result=result)))
    shown = netmill(script, "job", "job_1").stdout
    assert re.search(r"network\s+tree\s+boosting", shown)
    assert re.search(r"test.accuracy\s+0.9712\s+0.9\s+-", shown)
    assert re.search(r"seconds\s+0.25\s+-", shown)
    assert re.search(r"error\s+it took longer", shown)


@pytest.mark.parametrize("act", ["cancel", "pause", "resume"])
def test_controls(script: Script, act: str) -> None:
    script.play(Reply(200, job_body()), Reply(202, job_body()))
    assert netmill(script, act, "job_1").exit_code == 0
    assert [(seen.method, seen.path) for seen in script.seen] == [
        ("GET", "/v1/jobs/job_1"),
        ("POST", f"/v1/jobs/job_1/{act}"),
    ]


def test_logs_are_one_line_an_event(script: Script) -> None:
    time = "2026-11-23T16:00:00Z"
    data: list[dict[str, Any]] = [
        {"seq": 1, "type": "status", "time": time, "data": {"status": "running"}},
        {"seq": 2, "type": "metrics", "time": time, "data": {"epoch": 1, "values": {"train.loss": 0.25}}},
        {"seq": 3, "type": "warning", "time": time, "data": {"code": "c", "pointer": "/p", "detail": "[d]"}},
        {"seq": 4, "type": "log", "time": time, "data": {"message": "hello"}},
    ]
    page = {"data": data, "next_after": 4, "terminal": True}
    script.route(lambda seen: Reply(200, page if "/events" in seen.path else DONE))
    lines = netmill(script, "logs", "job_1", "--follow").stdout.splitlines()
    assert [line.split("  ", 1)[1].rstrip() for line in lines] == [
        "status      status running",
        "metrics     epoch 1  train.loss 0.25",
        "warning     warning c at /p: [d]",
        "log         hello",
    ]
    as_json = netmill(script, "logs", "job_1", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in as_json] == [1, 2, 3, 4]


def test_predict_reads_rows_by_the_training_datas_types(script: Script, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("code,x\n007,1\n")

    def answer(seen: Seen) -> Reply:
        if seen.path.startswith("/v1/datasets/"):
            return Reply(200, {"id": "ds_1", "columns": [{"name": "code", "type": "string"}]})
        if seen.method == "POST":
            return Reply(200, {"checkpoint": "c", "output": "prediction", "classes": None, "data": ["yes"]})
        return Reply(200, DONE)

    script.route(answer)
    assert netmill(script, "predict", "job_1", str(tmp_path / "rows.csv")).stdout == "yes\n"
    assert json.loads(script.seen[-1].body)["rows"] == [{"code": "007", "x": 1}]


def test_export_writes_the_file(script: Script, tmp_path: Path) -> None:
    script.route(lambda seen: Reply(200, b"model" if "export" in seen.path else DONE))
    target = tmp_path / "m.onnx"
    done = netmill(script, "export", "job_1", "--format", "onnx", "--out", str(target))
    assert (done.exit_code, done.stdout.strip()) == (0, str(target))
    assert target.read_bytes() == b"model"
    assert netmill(script, "export", "job_1", "--format", "pickle").exit_code == 1


def test_upload_prints_the_id(script: Script, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    script.play(Reply(201, {"id": "ds_1", "name": "a", "rows": 1, "columns": [{"name": "x", "type": "integer"}]}))
    done = netmill(script, "upload", str(tmp_path / "a.csv"))
    assert (done.exit_code, done.stdout) == (0, "ds_1\n")
    assert "1 rows, 1 columns" in done.stderr


def test_upload_names_parts_and_tells_notes(script: Script, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"h5")
    script.play(Reply(201, {"id": "ds_1", "name": "a", "rows": 1, "arrays": [], "notes": ["x looks odd"]}))
    done = netmill(script, "upload", str(tmp_path / "a.h5"), "--x", "a", "--x", "b", "--channels", "last")
    assert done.exit_code == 0
    assert "note: x looks odd" in done.stderr
    assert script.seen[0].path.endswith("?name=a&format=hdf5&x=a&x=b&channels=last")


def test_ctrl_c_says_that_the_job_goes_on(script: Script, spec: str) -> None:
    script.route(
        lambda seen: Reply(
            200, {"data": [], "next_after": 0, "terminal": False} if "/events" in seen.path else job_body()
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "netmill.cli", "train", spec, "--follow", "--url", script.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stderr
    assert "job_1" in process.stderr.readline()
    assert "queued" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "job_1 goes on" in said
    assert "netmill logs job_1 --follow" in said
    assert "Traceback" not in said
    assert not [seen for seen in script.seen if "cancel" in seen.path]


def test_version() -> None:
    assert netmill(None, "--version").stdout == f"netmill {cli.__version__}\n"


def test_without_the_server_up_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda **_: [])
    done = netmill(None, "up", "--port", "0", "--data-dir", "x")
    assert done.exit_code == 1
    assert "make setup" in done.stderr


def test_change_sends_what_is_named_and_job_shows_it(script: Script) -> None:
    script.play(Reply(200, job_body()), Reply(202, job_body(status="running")))
    done = netmill(script, "change", "job_1", "--lr", "0.01", "--epochs", "40", "--no-early-stopping")
    assert done.exit_code == 0
    assert json.loads(script.seen[-1].body) == {
        "optimizer": {"lr": 0.01},
        "training": {"epochs": 40, "early_stopping": None},
    }
    assert netmill(script, "change", "job_1", "--patience", "3", "--no-early-stopping").exit_code != 0
    change = {"number": 1, "status": "applied", "patch": {"optimizer": {"lr": 0.01}}, "step": 41}
    script.play(Reply(200, job_body(changes=[change])))
    shown = netmill(script, "job", "job_1").stdout
    assert '{"optimizer": {"lr": 0.01}} applied before step 42' in shown


def test_job_says_who_trained_with_it(script: Script) -> None:
    script.play(Reply(200, job_body(cohort={"size": 8})), Reply(200, job_body(cohort=None)))
    assert "7 other jobs" in netmill(script, "job", "job_1").stdout
    assert "other jobs" not in netmill(script, "job", "job_1").stdout


def test_predict_draws_samples_without_a_file(script: Script) -> None:
    def answer(seen: Seen) -> Reply:
        drawn = {"checkpoint": "c", "output": "sample", "classes": None, "data": [[1.5], [2.5]]}
        return Reply(200, drawn if seen.method == "POST" else DONE)

    script.route(answer)
    said = netmill(script, "predict", "job_1", "--output", "sample", "-n", "2", "--seed", "7").stdout
    assert said == "[1.5]\n[2.5]\n"
    assert json.loads(script.seen[-1].body) == {"output": "sample", "n": 2, "seed": 7, "checkpoint": "best"}
    assert netmill(script, "predict", "job_1", "--output", "error").exit_code == 2
