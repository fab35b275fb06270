"""Which states become files: the last and the best always, in the order of their steps, each once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from core.engine import keeper as keeper_module
from core.engine.checkpoint import Snapshot, network_tensors, read_tensors, write_snapshot
from core.engine.keeper import Keeper
from core.spec.training import CheckpointsSpec


def snapshot(epoch: int, *, is_best: bool = False) -> Snapshot:
    weights = {"0.weight": torch.full((2, 3), float(epoch))}
    return Snapshot(epoch, epoch * 10, weights, {"epoch": epoch}, {"m": torch.ones(2)}, {}, is_best=is_best)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between the epochs."""
    monkeypatch.setattr(keeper_module.time, "monotonic", lambda: 100.0)


def epochs(events: list[object]) -> list[int]:
    return [event.epoch for event in events]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("in_a_hurry")
def test_what_is_superseded_within_a_blink_is_not_written(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, CheckpointsSpec())
    early = [event for epoch in range(1, 6) for event in keeper.epoch_ended(snapshot(epoch, is_best=epoch == 3))]
    late = list(keeper.flush())
    assert early == []
    assert [(event.epoch, event.is_best) for event in late] == [(3, True), (5, False)]
    assert list(keeper.flush()) == []


@pytest.mark.usefixtures("in_a_hurry")
def test_a_held_state_is_a_copy(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, CheckpointsSpec())
    live = snapshot(1)
    assert not list(keeper.epoch_ended(live))
    live.content["0.weight"].fill_(9.0)
    (event,) = keeper.flush()
    tensors, meta = read_tensors(Path(event.content_path))
    assert tensors["0.weight"].eq(1.0).all()
    assert meta["epoch"] == 1


@pytest.mark.usefixtures("in_a_hurry")
def test_a_stop_at_the_end_of_the_best_epoch_keeps_that_it_is_the_best(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, CheckpointsSpec())
    assert not list(keeper.epoch_ended(snapshot(2, is_best=True)))
    (event,) = keeper.write(snapshot(2))
    assert event.is_best
    assert list(keeper.write(snapshot(2))) == []


@pytest.mark.usefixtures("in_a_hurry")
def test_what_is_resumed_from_is_not_written_again(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, CheckpointsSpec())
    keeper.has_written(20)
    assert list(keeper.write(snapshot(2))) == []
    assert epochs(list(keeper.write(snapshot(3)))) == [3]


@pytest.mark.usefixtures("in_a_hurry")
def test_every_asked_epoch_is_written_when_several_are_kept(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, CheckpointsSpec(keep_last=2, every_epochs=2))
    events = [event for epoch in range(1, 6) for event in keeper.epoch_ended(snapshot(epoch, is_best=epoch == 3))]
    assert epochs(events) == [2, 3, 4]
    assert epochs(list(keeper.flush())) == [5]


def test_a_slow_epoch_is_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(keeper_module.time, "monotonic", lambda: now)
    keeper = Keeper(tmp_path, CheckpointsSpec())
    now = 1.0
    assert epochs(list(keeper.epoch_ended(snapshot(1)))) == [1]
    now = 1.1
    assert epochs(list(keeper.epoch_ended(snapshot(2)))) == []


def test_the_bytes_are_those_of_the_state_alone(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    first, second = (write_snapshot(snapshot(4), folder) for folder in folders)
    assert (first.content_sha256, first.state_sha256) == (second.content_sha256, second.state_sha256)
    with safe_open(first.content_path, framework="pt") as file:
        assert list(file.metadata()) == ["netmill"]


def test_a_file_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event = write_snapshot(snapshot(1), tmp_path)
    monkeypatch.setattr("core.engine.checkpoint.FORMAT_VERSION", 2)
    with pytest.raises(ValueError, match="format 1, expected 2"):
        read_tensors(Path(event.content_path))


def test_within_a_long_epoch_states_are_written_early_and_then_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(keeper_module.time, "monotonic", lambda: now)
    keeper = Keeper(tmp_path, CheckpointsSpec())
    written = []
    for second in range(100):
        now = float(second)
        if keeper.is_due_within(30.0):
            list(keeper.write(replace(snapshot(second), end_of_epoch=False)))
            written.append(second)
    assert written == [2, 6, 14, 30, 60, 90]


@pytest.mark.usefixtures("in_a_hurry")
def test_a_state_that_gives_its_tensors_to_the_next_is_never_the_best(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, CheckpointsSpec())
    for epoch in range(1, 8):
        assert not list(keeper.epoch_ended(snapshot(epoch, is_best=epoch in {2, 5})))
    found = {event.epoch: read_tensors(Path(event.content_path))[0]["0.weight"] for event in keeper.flush()}
    assert {epoch: float(weight.mean()) for epoch, weight in found.items()} == {5: 5.0, 7: 7.0}


def test_copies_take_the_place_of_those_that_have_their_shapes() -> None:
    first, second = snapshot(1).frozen(), snapshot(2)
    grown = replace(second, state={"m": torch.ones(3)})
    again = second.frozen(first)
    assert again.content["0.weight"] is first.content["0.weight"]
    assert torch.equal(again.content["0.weight"], second.content["0.weight"])
    other = grown.frozen(again)
    assert other.state["m"].tolist() == [1.0, 1.0, 1.0]
    assert other.content["0.weight"] is not again.content["0.weight"]


def test_the_tensors_are_those_of_the_network_after_they_were_moved() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    network_tensors(network)
    network[0].weight.data = torch.full((3, 2), 7.0)
    network[1].running_mean = torch.full((3,), 8.0)
    assert list(network_tensors(network)) == list(network.state_dict())
    assert all(torch.equal(tensor, network_tensors(network)[name]) for name, tensor in network.state_dict().items())
