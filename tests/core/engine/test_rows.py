"""How an epoch falls into batches and windows."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.engine.outputs import forward
from core.engine.residence import CPU, home_of, sent
from core.engine.rows import Batching, Rows, plan_batches
from core.engine.seeds import derived_seed, epoch_order


def sizes(batching: Batching) -> list[int]:
    return [end - start for start, end in pairwise(batching.edges)]


def test_the_last_batch_is_what_is_left() -> None:
    assert sizes(plan_batches(10, 4, 1, None, needs_two=False)) == [4, 4, 2]
    assert sizes(plan_batches(10, 10, 1, None, needs_two=True)) == [10]
    assert sizes(plan_batches(9, 4, 1, None, needs_two=False)) == [4, 4, 1]


def test_a_lone_row_joins_the_batch_before_where_two_are_needed() -> None:
    assert sizes(plan_batches(9, 4, 1, None, needs_two=True)) == [4, 5]
    assert sizes(plan_batches(1, 4, 1, None, needs_two=True)) == [1]


@given(
    rows=st.integers(1, 300),
    batch=st.integers(1, 50),
    every=st.none() | st.integers(1, 40),
    epoch=st.integers(0, 5),
    data=st.data(),
)
def test_windows_cover_an_epoch_and_do_not_depend_on_where_one_comes_in(
    rows: int, batch: int, every: int | None, epoch: int, data: st.DataObject
) -> None:
    batching = plan_batches(rows, min(batch, rows), 30_000, every, needs_two=False)
    steps = batching.steps_per_epoch
    windows = list(batching.windows(epoch, 0))
    assert [window.first_step for window in windows] == [0, *(window.last_step for window in windows[:-1])]
    assert windows[-1].last_step == steps
    if every:
        due = {step for step in range(1, steps) if (epoch * steps + step) % every == 0}
        assert due <= {window.last_step for window in windows}
    step = data.draw(st.integers(0, steps - 1))
    assert list(batching.windows(epoch, step)) == [window for window in windows if window.last_step > step]


def test_batches_hold_the_rows_of_the_order() -> None:
    x = torch.arange(10.0)[:, None]
    rows = Rows(x, torch.arange(10), torch.arange(10.0), torch.arange(10).numpy(), None)
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    batching = plan_batches(10, 4, 1, None, needs_two=False)
    (window,) = batching.windows(0, 0)
    taken = window.take(rows, order)
    answers = [part.tolist() for part in taken.answers() if part is not None]
    batches = taken.batches(1)
    assert [target.tolist() for _, target, _ in batches] == [[5, 9, 2, 6], [8, 7]]
    assert [weight.tolist() for _, _, weight in batches if weight is not None] == [[5, 9, 2, 6], [8, 7]]
    # whether or not they were gathered before
    assert answers == [part.tolist() for part in taken.answers() if part is not None] == [order.tolist()] * 2
    assert taken.numbers(1, 2).tolist() == [5, 9, 2, 6, 8, 7]
    assert taken.edges(1, 2) == [4, 8, 10]
    assert window.take(rows, None).numbers(1, 1).tolist() == [4, 5, 6, 7]


def test_an_order_is_a_permutation_and_a_function_of_seed_and_epoch() -> None:
    orders = {(seed, epoch): epoch_order(seed, epoch, 50) for seed in (0, 1) for epoch in (0, 1)}
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders.values())
    assert len({tuple(order.tolist()) for order in orders.values()}) == 4
    assert torch.equal(epoch_order(1, 1, 50), orders[1, 1])


@pytest.mark.parametrize("purpose", ["init", "order", "noise"])
def test_streams_of_one_seed_differ(purpose: str) -> None:
    assert derived_seed(0, purpose) not in {derived_seed(1, purpose), derived_seed(0, purpose, 1)}
    assert 0 <= derived_seed(2**52, purpose) < 2**63


def test_rows_stand_on_a_device_that_has_room_for_them() -> None:
    gpu = torch.device("cuda")
    assert home_of(600, gpu, lambda _: 1000) == gpu
    assert home_of(601, gpu, lambda _: 1000) == CPU
    # nobody asks a CPU, whose memory they are in already
    assert home_of(10**15, CPU) == CPU


def test_rows_of_the_host_are_sent_a_window_at_a_time() -> None:
    x, target = torch.arange(20.0).view(10, 2), torch.arange(10)
    away = torch.device("meta")
    rows = Rows(x, target, torch.arange(10.0), target.numpy(), None, device=away)
    taken = rows.take(torch.randperm(10, generator=torch.Generator().manual_seed(1)), 2, 7)
    assert [tensor is not None and tensor.device for tensor in taken] == [away] * 3
    assert [tensor is not None and tuple(tensor.shape) for tensor in taken] == [(5, 2), (5,), (5,)]
    assert [tensor is not None and tensor.device for tensor in rows.take(None, 0, 3)] == [away] * 3
    assert rows.x is x
    assert sent(x, CPU) is x


def test_evaluation_sends_a_chunk_at_a_time() -> None:
    seen: list[tuple[int, str]] = []

    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((len(x), x.device.type))
            return x

    assert forward(Network(), torch.zeros(10, 2), 4, torch.device("meta")).device.type == "meta"
    assert seen == [(4, "meta"), (4, "meta"), (2, "meta")]
    assert torch.equal(forward(Network(), torch.ones(10, 2), 4), torch.ones(10, 2))
