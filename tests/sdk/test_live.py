"""The client against a real service: API, broker, worker."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from netmill import Client, ConflictError, InvalidError, Job, JobFailedError, NotFoundError
from netmill.cli import build
from tests.support.service import Service

SPEC: dict[str, Any] = {
    "name": "iris by the client",
    "tags": {"by": "sdk"},
    "data": {"dataset": "iris"},
    "network": {"layers": [{"type": "linear", "units": 16}, {"type": "relu"}]},
    "optimizer": {"type": "adam", "lr": 0.02},
    "training": {"epochs": 12, "batch_size": 16},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("sdk") / "data")
    service.folder.mkdir()
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    return str(service.http.base_url).rstrip("/")


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture(scope="module")
def trained(client: Client) -> Job:
    return client.train(SPEC).wait(60)


def test_a_job_from_submit_to_result(trained: Job) -> None:
    assert trained.status == "succeeded"
    assert trained.result.metrics["test.accuracy"] is not None
    assert [transition.status for transition in trained.state.transitions] == ["queued", "running", "succeeded"]
    assert trained.spec["data"]["target"] == "label"


def test_its_history_as_columns(trained: Job) -> None:
    table = trained.metrics()
    assert table["epoch"] == list(range(1, 13))
    assert table["train.loss"][-1] < table["train.loss"][0]
    assert trained.metrics(max_points=4).height <= 4


def test_its_events_are_without_holes(trained: Job) -> None:
    events = list(trained.events(follow=True))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {"status", "metrics", "checkpoint"} <= {event.type for event in events}
    assert [event.seq for event in trained.events(after=len(events) - 2)] == [len(events) - 1, len(events)]


def test_its_predictions_for_more_rows_than_one_request_takes(client: Client, trained: Job) -> None:
    rows = [{k: v for k, v in row.items() if k != "label"} for row in client.preview("iris", 150)] * 20
    answer = trained.predict(rows, output="probability")
    assert len(answer.data) == len(rows) > 2000
    assert len(answer.classes or []) == 3
    assert all(sum(probabilities) == pytest.approx(1, abs=1e-5) for probabilities in answer.data)
    assert trained.predict(rows[:1]).data[0] in (answer.classes or [])


def test_its_files(trained: Job, tmp_path: Path) -> None:
    weights = load_file(trained.download(tmp_path / "best.safetensors"))
    assert weights["0.weight"].shape == (16, 4)
    assert load_file(trained.export(tmp_path / "model.safetensors")).keys() >= weights.keys()
    assert trained.plot(tmp_path / "curve.svg").read_bytes().lstrip().startswith(b"<?xml")
    assert {one.id for one in trained.checkpoints()} >= {trained.result.best_checkpoint, trained.result.last_checkpoint}


def test_a_students_mistakes_come_back_explained(client: Client, tmp_path: Path, url: str) -> None:
    """The label among the features, twelve sigmoid layers; and each layer's numbers where they are asked for."""
    rows = client.preview("iris", 150)
    table = tmp_path / "flowers.csv"
    with table.open("w") as file:
        writer = csv.DictWriter(file, [*rows[0], "species"])
        writer.writeheader()
        writer.writerows({**row, "species": f"species {row['label']}"} for row in rows)
    client.upload(table, name="flowers")
    network = {"family": "deep_feed_forward", "hidden": [16] * 12, "activation": "sigmoid"}
    body = {**SPEC, "data": {"dataset": "flowers", "target": "label"}, "network": network, "monitor": {"layers": True}}
    job = client.train(body).wait(60)
    told = {warned.code: warned for warned in job.warnings}
    assert told.keys() >= {"leakage_suspected", "vanishing_gradients", "no_learning"}
    assert "'species' alone gives the target away" in told["leakage_suspected"].detail
    assert any("(1/4)^12" in warned.detail and warned.epoch == 1 for warned in job.warnings)
    columns = job.metrics()
    first, last = (next(filter(None, columns[f"layer.{index}.gradient_norm"])) for index in (0, 24))
    assert first < 1e-6 * last
    assert job.plot(tmp_path / "layers.png", layers=True).read_bytes().startswith(b"\x89PNG")
    shown = CliRunner().invoke(build(), ["--url", url, "job", job.id])
    assert "warning leakage_suspected at /data/features: the feature 'species'" in shown.output


def test_plan_and_every_fault_at_once(client: Client) -> None:
    assert client.plan(SPEC).parameters == 4 * 16 + 16 + 16 * 3 + 3
    wrong = {**SPEC, "optimizer": {"type": "adam", "lr": -1}, "data": {"dataset": "nowhere"}, "trainin": {}}
    with pytest.raises(InvalidError) as refused:
        client.train(wrong)
    assert {fault.pointer for fault in refused.value.errors} == {"/optimizer/lr", "/data/dataset", "/trainin"}


def test_the_same_key_trains_once(client: Client) -> None:
    ids = {client.train(SPEC, idempotency_key="sdk-once").id for _ in range(3)}
    assert len(ids) == 1
    client.job(ids.pop()).wait(60)


def test_typed_errors(client: Client, trained: Job) -> None:
    with pytest.raises(NotFoundError):
        client.job("job_nowhere")
    with pytest.raises(ConflictError):
        trained.cancel()


def test_a_failed_job_says_why(client: Client) -> None:
    wild = {**SPEC, "data": {"dataset": "diabetes"}, "optimizer": {"type": "sgd", "lr": 1e6}}
    with pytest.raises(JobFailedError) as failed:
        client.train(wild).wait(60)
    assert failed.value.code == "diverged"
    assert failed.value.pointer == "/optimizer/lr"


def test_pause_resume_continue_clone_delete(client: Client) -> None:
    job = client.train({**SPEC, "training": {"epochs": 3000, "batch_size": 4}}).pause()
    while job.status != "paused":
        job.refresh(wait_s=1)
    assert job.resume().status == "queued"
    job.cancel().wait(30)
    copy = job.clone({"training": {"epochs": 2}, "name": "copy"})
    assert copy.wait(60).state.parent == job.id
    assert copy.continue_(1).wait(60).progress.epoch == 3
    copy.delete()
    with pytest.raises(NotFoundError):
        copy.refresh()


def test_lists(client: Client, trained: Job) -> None:
    assert trained.id in [job.id for job in client.jobs(tag="by=sdk", status="succeeded")]
    assert {"digits", "iris", "higgs"} <= {dataset.name for dataset in client.datasets()}
    assert client.dataset("iris").builtin
    assert {"layers", "optimizers"} <= client.catalog().keys()
    assert client.schema()["type"] == "object"


def test_a_zoo_spec_plans_as_it_comes(client: Client) -> None:
    names = [entry["name"] for entry in client.zoo()]
    assert names
    assert client.plan(client.zoo_spec(names[0])).parameters > 0


def test_a_zoo_spec_comes_with_its_picture(client: Client, tmp_path: Path) -> None:
    assert client.zoo_picture("iris", tmp_path / "iris.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(NotFoundError):
        client.zoo_picture("irish", tmp_path / "none.png")


def test_the_command_line_from_upload_to_export(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    rows = [{"code": f"0{n % 2}", "x": n % 2 + n / 1000, "kind": "odd" if n % 2 else "even"} for n in range(200)]
    with (tmp_path / "parity.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["code", "x", "kind"])
        writer.writeheader()
        writer.writerows(rows)

    def netmill(*arguments: str) -> str:
        done = CliRunner().invoke(build(), [*arguments, "--url", url])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert netmill("upload", str(tmp_path / "parity.csv")).startswith("ds_")
    spec = {**SPEC, "data": {"dataset": "parity", "target": "kind", "features": ["x"]}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert "linear" in netmill("plan", str(tmp_path / "spec.json"))
    job_id = json.loads(netmill("train", str(tmp_path / "spec.json"), "--follow", "--json"))["id"]
    assert "succeeded" in netmill("job", job_id)
    assert "epoch 12" in netmill("logs", job_id, "--follow")
    answers = netmill("predict", job_id, str(tmp_path / "parity.csv")).split()
    assert sum(answer == row["kind"] for answer, row in zip(answers, rows, strict=True)) > 190
    assert netmill("export", job_id, "--out", str(tmp_path / "m.safetensors")).strip().endswith("m.safetensors")


def test_a_checkpoint_is_analysed_and_drawn(trained: Job, tmp_path: Path) -> None:
    found = trained.analyse("confusion", normalize="none")
    assert found.status == "succeeded"
    assert sum(map(sum, found.data["counts"])) == found.data["rows"]
    assert found.picture().lstrip().startswith(b"<?xml")
    assert found.save(tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"svg or \.png"):
        found.save(tmp_path / "confusion.pdf")
    assert trained.analyse("confusion", normalize="none").id == found.id
    assert [one.id for one in trained.analyses()] == [found.id]
    with pytest.raises(InvalidError) as caught:
        trained.analyse("confusion", normalise="none", classes=1)
    assert {fault.pointer for fault in caught.value.errors} == {"/normalise", "/classes"}
    found.delete()
    with pytest.raises(NotFoundError):
        found.refresh()


def test_the_lab(client: Client, tmp_path: Path) -> None:
    found = client.lab_optimizers(["adam", {"type": "sgd", "lr": 0.015, "momentum": 0.9}], surface="ravine", steps=50)
    assert [run["name"] for run in found.data["optimizers"]] == ["adam lr 0.001", "sgd lr 0.015 momentum 0.9"]
    assert b"<animate " in found.save(tmp_path / "race.svg").read_bytes()
    assert client.experiment(found.id).refresh().data == found.data
    trained_ones = client.lab_optimizers(["adam"], data=SPEC["data"], network=SPEC["network"], steps=20)
    assert len(trained_ones.data["optimizers"][0]["loss"]) == 20
    layers = client.lab_init([{"activation": "relu", "init": "he"}], depth=4, timeout_s=30)
    assert len(layers.data["combinations"][0]["activation_std"]) == 4


def test_analyses_and_experiments_by_the_command_line(url: str, trained: Job, tmp_path: Path) -> None:
    run = CliRunner()
    picture, numbers, spec = tmp_path / "roc.svg", tmp_path / "roc.json", tmp_path / "race.json"
    spec.write_text('{"surface": "beale", "steps": 20, "optimizers": ["adam", "rmsprop"]}')
    options = ["--url", url]
    done = run.invoke(build(), ["analyse", trained.id, "roc", "--set", "points=50", "-o", str(picture), *options])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().lstrip().startswith(b"<?xml")
    done = run.invoke(build(), ["analyse", trained.id, "roc", "--set", "points=50", "-o", str(numbers), *options])
    assert json.loads(numbers.read_text())["type"] == "roc"
    done = run.invoke(build(), ["lab", "optimizers", str(spec), *options])
    assert len(json.loads(done.stdout)["optimizers"]) == 2
    done = run.invoke(build(), ["lab", "optimizers", str(spec), "--json", *options])
    assert json.loads(done.stdout)["status"] == "succeeded"
    for wrong in (
        ["analyse", trained.id, "roc", "-o", "roc.pdf"],
        ["analyse", trained.id, "roc", "--set", "points"],
        ["analyse", trained.id, "rok"],
        ["lab", "surfaces", str(spec)],
        ["lab", "init", str(spec)],
    ):
        done = run.invoke(build(), [*wrong, *options])
        assert done.exit_code == 1, wrong
        assert "error:" in done.stderr
