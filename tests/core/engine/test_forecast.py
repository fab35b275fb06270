"""Forecasting from a table in time order: which windows there are, what they see, what networks learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.prepare import Prepared, prepare
from core.data.windows import as_slice
from core.engine.export import export
from core.engine.run import Run
from core.engine.trained import TrainedModel, load_trained
from core.errors import Invalid
from core.events import Checkpoint, Failed, Finished
from tests.core.engine.workbench import Bench, after_steps, files, last, rows

pytestmark = pytest.mark.usefixtures("asked_before_every_step")

L, H, N = 24, 6, 400
NAMES = ["load", "heat"]


def table(random: np.random.Generator, n: int = N) -> np.ndarray:
    """(n, 2) of daily cycles with a slow wave and a little noise."""
    t = np.arange(n)
    load = 50 + 10 * np.sin(2 * np.pi * t / 24) + 3 * np.sin(2 * np.pi * t / 57)
    heat = 5 - 2 * np.cos(2 * np.pi * t / 12)
    return np.c_[load, heat] + random.normal(size=(n, 2)) * [0.5, 0.1]


def csv(values: np.ndarray, **more: Any) -> bytes:
    columns = {**more, **{name: values[:, place] for place, name in enumerate(NAMES)}}
    lines = [",".join(columns)]
    lines += [
        ",".join("" if cell != cell else str(cell) for cell in row) for row in zip(*columns.values(), strict=True)
    ]
    return "\n".join(lines).encode()


def upload(bench: Bench, name: str, content: bytes) -> None:
    source = bench.folder / f"{name}.csv"
    source.write_bytes(content)
    bench.upload(name, source, "csv")


def body(
    name: str = "made", *layers: dict[str, Any], window: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    data = {
        "dataset": name,
        "window": {"length": L, "horizon": H, **(window or {})},
        "split": {"validation": 0.2, "test": 0.2},
        **more.pop("data", {}),
    }
    return {"data": data, "network": {"layers": list(layers)}, "training": {"epochs": 2}, **more}


def prepared(run: Run) -> Prepared:
    return prepare(run.spec, run.schema, run.data_path)


@pytest.fixture
def made(bench: Bench, random: np.random.Generator) -> np.ndarray:
    values = table(random)
    upload(bench, "made", csv(values))
    return values


def test_windows_are_those_of_plain_numpy(bench: Bench, made: np.ndarray) -> None:
    """Every window written out with a loop: inputs, targets, parts, scaled by the training rows' mean and deviation."""
    found = prepared(bench.run(body(training={"epochs": 1, "precision": "float64"})))
    first, second = 240, 320
    columns = [column.copy() for column in made[:first].T]
    mean, deviation = np.array([each.mean() for each in columns]), np.array([each.std() for each in columns])
    scaled = (made - mean) / deviation
    expected: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for start in range(N - L - H + 1):
        targets = range(start + L, start + L + H)
        if targets[-1] < first:
            expected["train"].append(start)
        elif targets[0] >= first and targets[-1] < second:
            expected["validation"].append(start)
        elif targets[0] >= second:
            expected["test"].append(start)
    for name, starts in expected.items():
        index = getattr(found, name)
        assert index.tolist() == starts
        assert found.y is not None
        assert np.array_equal(found.x[index], [scaled[s : s + L] for s in starts])
        assert np.array_equal(found.y[index], [scaled[s + L : s + L + H].ravel() for s in starts])
    assert found.preparation.unscale_target(found.y[:1])[0] == pytest.approx(made[L : L + H].ravel())


def test_the_etth_protocol_has_its_counts_and_copies_nothing(bench: Bench, random: np.random.Generator) -> None:
    """17,420 hours of seven columns, 12, 4 and 4 months by a column: the published numbers of windows, as views."""
    values = np.cumsum(random.normal(size=(17_420, 7)), 0).astype(np.float32)
    month = 30 * 24
    part = np.repeat(["train", "validation", "test"], [12 * month, 4 * month, 4 * month])
    names = [f"c{place}" for place in range(7)]
    lines = [",".join([*names, "part"])]
    lines += [",".join([*map(str, row), name]) for row, name in zip(values[: len(part)].tolist(), part, strict=True)]
    upload(bench, "ett", "\n".join(lines).encode())
    run = bench.run(body("ett", window={"length": 336, "horizon": 96}, data={"split": {"column": "part"}}))
    found = prepared(run)
    assert [len(found.train), len(found.validation), len(found.test)] == [8640 - 336 - 96 + 1, 2785, 2785]
    for array in (found.x, found.y):
        assert array is not None
        assert not array.flags.owndata
    assert all(isinstance(as_slice(each), slice) for each in (found.train, found.validation, found.test))
    plan = bench.plan(body("ett", window={"length": 336, "horizon": 96}, data={"split": {"column": "part"}}))
    assert plan.split_sizes == {"train": 8209, "validation": 2785, "test": 2785}
    assert plan.input_shape == (336, 7)
    assert plan.output_shape == (96 * 7,)
    assert plan.memory_bytes < 200e6


@pytest.mark.parametrize("context", ["previous", "own"])
@pytest.mark.parametrize("stride", [1, 5])
def test_no_row_leaks_from_one_part_to_another(
    context: str, stride: int, bench: Bench, random: np.random.Generator
) -> None:
    """Rows after the training part are changed beyond recognition: training windows and scaling stay bit for bit."""
    values = table(random)
    changed = values.copy()
    changed[240:] = 1e6 * random.normal(size=(160, 2))
    upload(bench, "one", csv(values))
    upload(bench, "other", csv(changed))
    window = {"context": context, "stride": stride}
    one, other = (prepared(bench.run(body(name, window=window))) for name in ("one", "other"))
    assert np.array_equal(one.x[one.train], other.x[other.train])
    assert one.y is not None
    assert other.y is not None
    assert np.array_equal(one.y[one.train], other.y[other.train])
    assert one.preparation == other.preparation
    targets = [{row for start in part for row in range(start + L, start + L + H)} for part in parts_of(one)]
    assert not targets[0] & targets[1]
    assert not targets[1] & targets[2]
    assert not targets[0] & targets[2]
    assert max(max(part) for part in targets[:1]) < 240
    inputs = [{row for start in part for row in range(start, start + L)} for part in parts_of(one)]
    assert max(inputs[0]) < 240
    assert (min(inputs[1]) >= 240) is (context == "own")
    assert all((np.diff(part) == stride).all() for part in parts_of(one))


def parts_of(found: Prepared) -> list[list[int]]:
    return [part.tolist() for part in (found.train, found.validation, found.test)]


def test_rows_are_sorted_and_series_kept_apart(bench: Bench, random: np.random.Generator) -> None:
    """Two series in one table, rows shuffled: the same windows as of each alone, none across."""
    a, b = table(random, 150), table(random, 100)
    times, names = np.r_[np.arange(150), np.arange(100)], np.repeat(["a", "b"], [150, 100])
    mixed = random.permutation(250)
    upload(bench, "mixed", csv(np.r_[a, b][mixed], time=times[mixed], plant=names[mixed]))
    data = {"split": {"order_by": "time", "validation": 0.0, "test": 0.2}}
    sent = body("mixed", window={"series": "plant"}, data=data, training={"precision": "float64"})
    found = prepared(bench.run(sent))
    scale = {name: np.r_[a[:120], b[:80]][:, place] for place, name in enumerate(NAMES)}
    mean, deviation = (np.array([getattr(scale[name], f)() for name in NAMES]) for f in ("mean", "std"))
    expected = [((s - mean) / deviation)[i : i + L] for s in (a[:120], b[:80]) for i in range(len(s) - L - H + 1)]
    np.testing.assert_allclose(found.x[found.train], expected, rtol=1e-9)
    tests = [((s - mean) / deviation)[i - L : i] for s, n in ((a, 120), (b, 80)) for i in range(n, len(s) - H + 1)]
    np.testing.assert_allclose(found.x[found.test], tests, rtol=1e-9)
    plan = bench.plan(sent)
    assert plan.split_sizes == {"train": len(found.train), "validation": 0, "test": len(found.test)}
    grouped = prepared(bench.run(body("mixed", data={"split": {"group": "plant", "validation": 0, "test": 0.4}})))
    assert [len(grouped.train), len(grouped.test)] == [150 - L - H + 1, 100 - L - H + 1]


def test_gaps_in_time_and_missing_targets_are_told(bench: Bench, random: np.random.Generator) -> None:
    values = table(random)
    values[100, 0] = np.nan
    time = np.arange(N) + np.where(np.arange(N) > 200, 48, 0)
    upload(bench, "holes", csv(values, time=time))
    found = prepared(bench.run(body("holes", data={"split": {"order_by": "time"}})))
    assert [warned.code for warned in found.warnings] == ["uneven_times", "missing_target"]
    assert "1 step(s) are longer than the usual one, the longest 49 times" in found.warnings[0].detail
    assert not {start for start in found.train.tolist() if start + L <= 100 < start + L + H}
    assert np.isfinite(found.x[found.train]).all()


LINEAR_MAP = {"epochs": 30, "batch_size": 16}


def test_a_linear_map_beats_the_last_value_by_far(bench: Bench, made: np.ndarray) -> None:
    sent = body("made", {"type": "flatten"}, training=LINEAR_MAP, optimizer={"type": "adam", "lr": 0.003})
    finished = last(bench.events(sent), Finished)
    found = finished.metrics
    deviation = made[:240].std(0)
    starts = range(320 - L, N - L - H + 1)
    naive = np.array([made[s + L : s + L + H] - made[s + L - 1] for s in starts]) / deviation
    assert found["test.scaled_mse"] < 0.1 * np.square(naive).mean()
    assert found["test.scaled_mae"] < 0.4 * np.abs(naive).mean()
    # both scales tell of the same errors
    assert found["test.mse"] == pytest.approx(found["test.scaled_mse"] * np.square(deviation).mean(), rel=0.9)


def test_metrics_are_of_the_forecasts_that_predict_gives(bench: Bench, made: np.ndarray) -> None:
    """Figures on both scales from `/predict`'s own answers, window by window."""
    run_body = body("made", {"type": "flatten"}, training=LINEAR_MAP)
    events = bench.events(run_body)
    model = best_model(events)
    starts = list(range(320 - L, N - L - H + 1))
    answer = model.predict(inputs=[made[s : s + L].tolist() for s in starts])
    forecast = np.array(answer["data"])
    assert forecast.shape == (len(starts), H, 2)
    error = forecast - [made[s + L : s + L + H] for s in starts]
    deviation = made[:240].std(0)
    metrics = last(events, Finished).metrics
    assert metrics["test.mse"] == pytest.approx(np.square(error).mean(), rel=1e-4)
    assert metrics["test.mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert metrics["test.scaled_mse"] == pytest.approx(np.square(error / deviation).mean(), rel=1e-4)
    assert metrics["test.scaled_mae"] == pytest.approx(np.abs(error / deviation).mean(), rel=1e-4)
    rows_sent = [dict(zip(NAMES, row, strict=True)) for row in made.tolist()]
    ahead = model.predict(rows=rows_sent)["data"]
    assert np.array(ahead).shape == (1, H, 2)
    np.testing.assert_allclose(ahead[0], model.predict(inputs=[made[-L:].tolist()])["data"][0], rtol=1e-6)
    with pytest.raises(Invalid, match="received 3 row"):
        model.predict(rows=rows_sent[:3])
    with pytest.raises(Invalid, match="expected 24 rows of 2 values"):
        model.predict(inputs=[made[:3].tolist()])


def best_model(events: list[Any]) -> TrainedModel:
    best = [event for event in events if isinstance(event, Checkpoint) and event.is_best][-1]
    return load_trained(Path(best.content_path))


@pytest.mark.parametrize(
    "layers",
    [
        [{"type": "flatten"}, {"type": "linear", "units": 8}, {"type": "relu"}],
        [{"type": "lstm", "units": 8}],
        [{"type": "gru", "units": 4, "output": "all"}],
    ],
    ids=["feed_forward", "lstm", "gru_all"],
)
def test_a_stopped_run_of_any_network_ends_with_the_same_bits(
    layers: list[dict[str, Any]], bench: Bench, made: np.ndarray
) -> None:
    sent = body("made", *layers, window={"columns": ["heat"]})
    straight = bench.events(sent)
    assert isinstance(straight[-1], Finished)
    run = bench.run(sent)
    checkpoint = last(bench.events(sent, after_steps(9)), Checkpoint)
    resumed = bench.resumed(run, checkpoint)
    assert rows(resumed)[-1] == rows(straight)[-1]
    assert last(resumed, Checkpoint).content_sha256 == last(straight, Checkpoint).content_sha256


def test_onnx_takes_windows_of_raw_columns(bench: Bench, made: np.ndarray, tmp_path: Path) -> None:
    import onnxruntime  # noqa: PLC0415

    events = bench.events(body("made", {"type": "flatten"}))
    content = files(last(events, Checkpoint))[0]
    export(content, "onnx", tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    feed = {name: np.stack([made[s : s + L, place] for s in (0, 50)]) for place, name in enumerate(NAMES)}
    (found,) = session.run(["prediction"], feed)
    expected = load_trained(content).predict(inputs=[made[:L].tolist(), made[50 : 50 + L].tolist()])["data"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    meta = json.loads(session.get_modelmeta().custom_metadata_map["netmill"])
    assert meta["preparation"]["window"] == {"length": L, "horizon": H}


def test_a_window_that_fits_nowhere_is_told(bench: Bench, made: np.ndarray) -> None:
    for window in ({"length": 300}, {"length": 100, "context": "own"}):
        with pytest.raises(Invalid) as refused:
            bench.run(body("made", window=window))
        assert [fault.pointer for fault in refused.value.errors] == ["/data/window/length"]
    values = made.copy()
    values[240:320:L, 0] = np.nan  # a plan does not know where the gaps are
    upload(bench, "gaps", csv(values))
    failed = last(bench.events(body("gaps", window={"horizon": L})), Failed)
    assert (failed.code, failed.pointer) == ("data_error", "/data/window/length")
    assert "none of the 80 validation rows begins a window" in failed.detail


def test_all_columns_may_share_one_linear_map_over_time(bench: Bench, made: np.ndarray) -> None:
    """A convolution of kernel 1 over (times as channels, columns), as docs/science.md has it: Zeng et al. 2023."""
    conv = {"type": "conv1d", "channels": H, "kernel_size": 1, "layout": "channels_first"}
    shared = {"layers": [conv], "head": [{"type": "flatten"}]}
    model = load_trained(files(last(bench.events(body(network=shared)), Checkpoint))[0])
    weight, bias = (each.detach().numpy() for each in model.network.parameters())
    assert (weight.shape, bias.shape) == ((H, L, 1), (H,))
    scale = np.array([[feature.shift, feature.scale] for feature in model.preparation.features])
    window = made[:L]
    expected = weight[..., 0] @ ((window - scale[:, 0]) / scale[:, 1]) + bias[:, None]
    unit, shift = model.preparation.target_unit(H * len(NAMES))
    expected = expected.reshape(-1) * unit + shift
    found = np.array(model.predict(inputs=[window.tolist()])["data"], dtype=float).reshape(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
