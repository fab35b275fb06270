"""The benchmark of a GPU, as far as a machine without one can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.engine.workloads import WORKLOADS, Data, Workload
from benchmarks.peers.peer import Train


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert gpu.main(["--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no GPU\n"
    assert not list(tmp_path.iterdir())


def test_a_step_is_what_a_longer_run_takes_more(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[int, bool]] = []

    def prepare(workload: Workload, data: Data) -> Train:
        assert len(data.x) == workload.rows
        return lambda epochs: trained.append((epochs, torch.backends.cuda.matmul.allow_tf32))

    def refuse(_workload: Workload, _data: Data) -> Train:
        raise RuntimeError("no compiler")

    def run(train: Train, epochs: int) -> float:
        train(epochs)
        return 3.0 + epochs * workload.steps_per_epoch * 5e-6

    workload = WORKLOADS["digits"]
    monkeypatch.setattr(gpu, "CONTENDERS", {"one": (prepare, True), "two": (prepare, False), "three": (refuse, False)})
    before = torch.backends.cudnn.allow_tf32
    try:
        rows = {row["peer"]: row for row in gpu.measured(workload, 3, run)}
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert rows["one"]["us"]["median"] == rows["two"]["us"]["median"] == 5.0
    assert rows["three"]["absent"] == "RuntimeError: no compiler"
    short, long = workload.epochs
    a_round = [(short, True), (long, True), (short, False), (long, False)]
    assert trained == a_round + 3 * a_round
