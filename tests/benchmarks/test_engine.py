"""The harness of `make bench`: every peer trains the network that Netmill trains, and what fails is told."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine.measure import measure
from benchmarks.engine.table import cells, median_us
from benchmarks.engine.workloads import WORKLOADS, Data, Workload, made_rows
from benchmarks.figures import summary
from benchmarks.peers import netmill_cohort, process, pytorch_usual, pytorch_well
from benchmarks.peers.catalogue import NETMILL, PEERS
from benchmarks.peers.matmul import products
from benchmarks.peers.netmill_runs import Runs, body_of
from benchmarks.peers.peer import Peer
from benchmarks.peers.scikit_learn import classifier
from benchmarks.peers.server import Session, serve
from benchmarks.peers.torch_networks import network
from core.data.arrays import canonical
from core.data.contents import ArrayContents
from core.spec.dataset import DatasetSchema
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job

ROOT = Path(__file__).parents[2]
EVERY = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)


def plan_of(workload: Workload) -> Plan:
    data = made_rows(workload)
    contents = ArrayContents(*canonical({"x": data.x, "y": data.y}))
    schema = DatasetSchema.model_validate(contents.describe()[0])
    return check_job(body_of(workload, 1, validates=False), lambda _: schema, Limits())


@EVERY
def test_pytorch_trains_the_network_and_the_steps_that_netmill_trains(workload: Workload) -> None:
    plan = plan_of(workload)
    assert sum(parameter.numel() for parameter in network(workload).parameters()) == plan.parameters
    assert (plan.steps_per_epoch, plan.output_shape) == (workload.steps_per_epoch, (workload.outputs,))
    assert workload.rows == workload.steps_per_epoch * workload.batch


@pytest.mark.parametrize("name", ["digits", "mlp"])
def test_scikit_learn_trains_the_same_network(name: str) -> None:
    workload = WORKLOADS[name]
    data = made_rows(workload)
    model = classifier(workload, 1).fit(data.x[:1024], data.y[:1024])
    assert sum(each.size for each in (*model.coefs_, *model.intercepts_)) == plan_of(workload).parameters


def test_the_ceiling_is_every_product_of_a_step_and_no_other() -> None:
    operations = sum(
        2 * left.shape[0] * left.shape[1] * right.shape[1] for left, right, _ in products(WORKLOADS["mlp"])
    )
    widths = [(28, 300), (300, 300), (300, 300), (300, 1)]
    forward = sum(2 * 256 * fan_in * fan_out for fan_in, fan_out in widths)
    assert operations == 3 * forward - 2 * 256 * 28 * 300
    for left, right, result in products(WORKLOADS["mlp"]):
        assert (left @ right).shape == result.shape


def test_rows_are_the_same_at_every_call_and_classes_depend_on_them(tmp_path: Path) -> None:
    workload = WORKLOADS["digits"]
    one, two = made_rows(workload), made_rows(workload)
    one.write(tmp_path / "rows.npz")
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(Data.read(tmp_path / "rows.npz").validation_y, two.validation_y)
    assert len(np.unique(one.y)) == workload.classes


def test_every_peer_has_its_module_and_every_absence_its_workload() -> None:
    for peer in PEERS.values():
        assert importlib.util.find_spec(f"benchmarks.peers.{peer.module}"), peer.name
        assert set(peer.without) < set(WORKLOADS)


def test_both_environments_compute_with_the_same_versions() -> None:
    def versions(path: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(.+)$", (ROOT / path).read_text(), flags=re.MULTILINE))

    ours, peers = versions("constraints.txt"), versions("benchmarks/constraints.txt")
    shared = ("torch", "numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl")
    assert {name: ours[name] for name in shared} == {name: peers[name] for name in shared}
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]
    assert {re.split(r"\W*>=", each)[0] for each in extra} <= set(peers)


def test_netmill_trains_as_long_as_it_is_asked(tmp_path: Path) -> None:
    workload = WORKLOADS["digits"]
    runs = Runs(workload, made_rows(workload), 1, validates=True)
    runs.train(2)
    assert runs.run(2).spec.training.epochs == 2


def test_every_member_of_the_cohort_trains_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netmill_cohort, "TOGETHER", 3)
    workload = WORKLOADS["digits"]
    netmill_cohort.prepare(workload, made_rows(workload), 1)(1)


@pytest.mark.parametrize("module", [pytorch_usual, pytorch_well], ids=["usual", "well"])
def test_a_loop_of_pytorch_learns(module, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = WORKLOADS["digits"]
    made = []
    monkeypatch.setattr(module, "network", lambda each: made.append(network(each)) or made[-1])
    train = module.prepare(workload, made_rows(workload), 1)
    before = made[0][0].weight.detach().clone()
    train(1)
    assert not np.array_equal(before.numpy(), made[0][0].weight.detach().numpy())


def test_a_server_answers_each_request_and_tells_a_fault(tmp_path: Path) -> None:
    made_rows(WORKLOADS["digits"]).write(tmp_path / "rows.npz")
    asked: list[object] = []

    def prepare(workload: Workload, data: Data, threads: int):
        asked.append((workload.name, data.x.shape, threads))
        return lambda epochs: asked.append(1 // epochs)

    requests = [{"prepare": "digits", "data": str(tmp_path / "rows.npz")}, {"epochs": 1}, {"epochs": 0}, {"epochs": 1}]
    answers = io.StringIO()
    serve(Session(prepare, 2), io.StringIO("".join(json.dumps(each) + "\n" for each in requests)), answers)
    told = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert asked == [("digits", (1248, 64), 2), 1, 1]
    assert [sorted(each) for each in told] == [
        ["seconds", "took_s"],
        ["seconds", "took_s"],
        ["error"],
        ["seconds", "took_s"],
    ]
    assert told[2]["error"].startswith("ZeroDivisionError: ")


def test_a_peer_that_is_not_installed_is_a_row_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PEERS_PYTHON", ROOT / "nowhere" / "python")
    peers = [
        Peer("netmill", "Netmill", "netmill_alone", venv=NETMILL),
        Peer("skorch", "skorch", "skorch_net"),
        Peer("scikit_learn", "scikit-learn", "scikit_learn", {"digits": "for a reason"}),
    ]
    rows, packages = measure(peers, ["digits"], [1], 2, tmp_path)
    assert packages[NETMILL]["torch"].startswith("2.")
    ours, skorch, scikit_learn = rows
    assert ours["us"]["n"] == 2
    assert len(ours["samples_us"]) == 2
    assert "make bench" in skorch["absent"]
    assert scikit_learn["absent"] == "for a reason"
    table = cells(rows, "digits", 1)
    assert [line[0] for line in table] == ["Netmill", "skorch", "scikit-learn"]
    assert table[1][1] == "absent"


def test_ratios_are_those_of_the_medians() -> None:
    def row(peer: str, *us: float) -> dict:
        return {"peer": peer, "title": peer, "workload": "digits", "threads": 1, "us": summary(us), "first_s": 0.1}

    rows = [row("pytorch_usual", 400, 410, 390), row("scikit_learn", 200, 200, 900), row("netmill", 50, 40, 60)]
    assert median_us(rows, "netmill", "digits", 1) == 50
    assert median_us(rows, "netmill", "digits", 2) is None
    quickest = cells(rows, "digits", 1)[0]
    assert quickest[:5] == ["netmill", "50.0", "40.0 to 60.0", "0.25", "0.12"]


def test_a_summary_tells_the_middle_and_the_spread() -> None:
    assert summary([5.0, 1.0, 2.0, 3.0, 4.0]) == {"median": 3, "q1": 2, "q3": 4, "min": 1, "max": 5, "n": 5}
    assert summary([7.0])["q3"] == 7
