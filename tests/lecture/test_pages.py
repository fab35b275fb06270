"""The lecture's pages: every block runs and shows what its page says, every picture is of the block beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from core.changes import Change
from core.data.builtin import BUILTIN
from core.engine.lab import Training, experiment
from core.engine.run import train
from core.errors import Invalid
from core.events import Failed, Finished, Metrics, Warned
from core.spec.analysis_request import read_analysis
from core.spec.catalog import catalog
from core.spec.lab import NetworkRace
from core.spec.lab_request import plan_race, read_experiment
from core.spec.limits import Limits
from core.spec.zoo import list_specs
from scripts.make_pictures import stamp_of
from scripts.pages import FOLDER, Block, digest, read_blocks
from tests.core.engine.workbench import Bench, never
from tests.lecture.claims import CLAIMS, TRIES, Claim, Try

BLOCKS = read_blocks()
JOBS = [block for block in BLOCKS if block.kind == "job"]
LAB = [block for block in BLOCKS if block.kind != "job"]
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
INDEX = (FOLDER / "README.md").read_text("utf-8")
TESTS = Path(__file__).parents[1]

# pixels at the rim that are always empty: true, and no page is about it
BESIDE_THE_POINT = {"constant_feature"}


@dataclass
class Outcome:
    """What came of a block."""

    warnings: set[str]
    rows: list[dict[str, float | None]]
    end: Finished | Failed


class Desk:
    """Runs each body once, however many pages have it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = cache(self._run)

    def of(self, block: Block) -> Outcome:
        outcome: Outcome = self.run(json.dumps(block.body, sort_keys=True))
        return outcome

    def bench(self) -> Bench:
        folder = self.folder / str(len(list(self.folder.iterdir())))
        folder.mkdir()
        return Bench(folder, {})

    def _run(self, body: str) -> Outcome:
        bench = self.bench()
        planned = bench.plan(json.loads(body))
        events = bench.events(json.loads(body))
        warned = {event.code for event in events if isinstance(event, Warned)}
        rows = [event.values for event in events if isinstance(event, Metrics)]
        end = events[-1]
        assert isinstance(end, Finished | Failed)
        return Outcome(warned | {warning.code for warning in planned.warnings}, rows, end)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("pages"))


def named(name: str) -> Block:
    return next(block for block in BLOCKS if str(block) == name)


def column(outcome: Outcome, name: str) -> list[float]:
    return [value for row in outcome.rows if (value := row.get(name)) is not None]


def test_every_claim_is_about_a_block() -> None:
    assert set(CLAIMS) <= {str(block) for block in JOBS}


@pytest.mark.parametrize("block", JOBS, ids=str)
def test_a_job_trains_to_its_end_and_shows_what_its_page_says(desk: Desk, block: Block) -> None:
    agree(CLAIMS.get(str(block), Claim()), desk.of(block))


def agree(claimed: Claim, outcome: Outcome) -> None:
    assert outcome.warnings - BESIDE_THE_POINT == claimed.warnings
    if isinstance(outcome.end, Failed):
        assert outcome.end.code == claimed.fails
        return
    assert claimed.fails is None
    for name, (least, greatest) in claimed.metrics.items():
        assert least <= (outcome.end.metrics[name] or 0.0) <= greatest, (name, outcome.end.metrics[name])
    judge = next(iter(claimed.metrics), "")
    for name, (least, greatest) in claimed.baselines.items():
        assert least <= outcome.end.baselines[name]["metrics"][judge] <= greatest, name


@cache
def lab_data(body: str, kind: str, folder: Path) -> dict[str, Any]:
    bench, request = Bench(folder, {}), read_experiment(kind, json.loads(body))
    training = None
    if isinstance(request, NetworkRace):
        bench.run({"network": json.loads(body)["network"], "data": json.loads(body)["data"]})
        made = bench.sets[request.data.dataset]
        training = Training(plan_race(request, lambda _: made.schema, Limits()).spec, made.schema, made.data_path)
    return experiment(kind, request.model_dump(mode="json"), training)


@pytest.mark.parametrize("block", LAB, ids=str)
def test_an_experiment_is_carried_out(tmp_path: Path, block: Block) -> None:
    data = lab_data(json.dumps(block.body), block.kind, tmp_path)
    assert data["type"] == block.kind


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "job" and block.image], ids=str)
def test_a_pictures_recipe_is_a_request(block: Block) -> None:
    if block.of["type"] not in ("curves", "layers"):
        read_analysis(block.of)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.image], ids=str)
def test_a_picture_is_of_its_block_and_stands_behind_it(block: Block) -> None:
    assert block.image is not None
    assert stamp_of(block.image) == digest(block.body, block.of), "the picture is of an older spec: run make pictures"
    assert block.image.stat().st_size < (300_000 if block.image.suffix == ".svg" else 100_000)
    text = (FOLDER / f"{block.page}.md").read_text("utf-8")
    behind = text.split("```json")[block.number].partition("\n```\n")[2]
    assert f"](images/{block.image.name})" in behind


def test_every_picture_is_of_a_block() -> None:
    assert {block.image for block in BLOCKS if block.image} == set((FOLDER / "images").iterdir())


@cache
def known_names() -> set[str]:
    return {entry.get("type") or entry["family"] for part in catalog().values() for entry in part}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_in_the_index_and_names_what_there_is(page: Path) -> None:
    assert INDEX.count(f"]({page.name})") == 1
    text = page.read_text("utf-8")
    assert text.startswith("# ")
    assert text.count("```json") >= 1
    line = text.rpartition("In the catalog: ")[2] if "In the catalog: " in text else ""
    assert set(re.findall(r"`([a-z_]+)`", line)) <= known_names() | set(BUILTIN)
    named_specs = set(re.findall(r"spec/zoo/([a-z_]+)\.json", text))
    assert named_specs <= {entry["name"] for entry in list_specs()}
    if page.stem != "differences":
        assert named_specs
        assert "**What to see.**" in text
        assert "**Try next.**" in text


def test_every_difference_is_shown_by_a_test_that_exists() -> None:
    text = (FOLDER / "differences.md").read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ") and "---" not in row][1:]
    assert len(rows) >= 9
    for row in rows:
        (name, target), *_ = re.findall(r"\[(test_[a-z0-9_]+)\]\(([^)]+)\)", row)
        source = (FOLDER / target).resolve()
        assert source.is_relative_to(TESTS)
        assert f"def {name}(" in source.read_text("utf-8")


# what the pages say beyond a figure of one block


def merged(body: Any, patch: Any) -> Any:
    """The body after a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(body) if isinstance(body, dict) else {}
    for name, value in patch.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = merged(kept.get(name), value)
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("tried", TRIES, ids=str)
def test_what_a_page_says_of_a_change(desk: Desk, tried: Try) -> None:
    agree(tried.claim, desk.run(json.dumps(merged(named(tried.block).body, tried.patch), sort_keys=True)))


def test_batch_norm_of_one_row_is_refused(desk: Desk) -> None:
    with pytest.raises(Invalid) as caught:
        desk.bench().plan(merged(named("batch-norm-1").body, {"training": {"batch_size": 1}}))
    assert [error.code for error in caught.value.errors] == ["batch_norm_of_one"]


def test_anscombes_line_is_the_same_four_times(desk: Desk) -> None:
    body = named("linear-models-5").body
    for number in (1, 2, 3, 4):
        outcome = desk.run(json.dumps(merged(body, {"data": {"parameters": {"number": number}}}), sort_keys=True))
        # the residual variance of the textbook, 1.25, is with 11 rows in the denominator
        assert column(outcome, "train.loss")[-1] == pytest.approx(1.25, abs=0.01)


def test_fewer_units_leave_more_error(desk: Desk) -> None:
    few, many = (desk.of(named(f"smallest-network-{number}")).end for number in (2, 3))
    assert isinstance(few, Finished)
    assert isinstance(many, Finished)
    assert (few.metrics["test.rmse"] or 0) > (many.metrics["test.rmse"] or 0)


def test_sums_with_a_rate_as_much_smaller_take_the_same_way(desk: Desk) -> None:
    mean, total = (column(desk.of(named(f"gradient-descent-{number}")), "validation.loss") for number in (3, 4))
    # the last batch of an epoch is smaller than the others, so not to the last digit
    assert mean == pytest.approx(total, rel=0.02)


def test_behind_twelve_sigmoids_a_millionth_is_left(desk: Desk) -> None:
    first = desk.of(named("vanishing-gradients-1")).rows[0]
    assert (first["layer.0.gradient_norm"] or 0) < 1e-6 * (first["layer.24.gradient_norm"] or 0)
    cured = desk.of(named("vanishing-gradients-2")).rows[0]
    assert (cured["layer.0.gradient_norm"] or 0) > 0.1 * (cured["layer.24.gradient_norm"] or 0)


def test_the_rate_decides_how_the_end_looks(desk: Desk) -> None:
    constant, cosine = (column(desk.of(named(f"learning-rate-{number}")), "validation.loss")[-10:] for number in (1, 2))
    assert max(cosine) - min(cosine) < 0.1 * (max(constant) - min(constant))
    assert cosine[-1] < sum(constant) / 10


def test_a_lower_rate_calms_a_run_while_it_runs(desk: Desk) -> None:
    block = named("live-changes-1")
    bench, change = desk.bench(), block.of["change"]
    run = bench.run(block.body)
    at = 175 * 30
    changed = replace(run, changes=(Change(1, {"lr": change["to"]["optimizer"]["lr"]}, at),))
    events = [event for event in train(changed, never) if isinstance(event, Metrics)]
    loss = [value for event in events if (value := event.values.get("validation.loss")) is not None]
    before, behind = loss[10:30], loss[-20:]
    assert max(behind) - min(behind) < 0.2 * (max(before) - min(before))


def test_dropout_slows_overfitting_down(desk: Desk) -> None:
    plain, dropped = (desk.of(named(f"dropout-{number}")) for number in (1, 2))
    assert column(plain, "train.loss")[-1] == pytest.approx(0.004, rel=0.5)
    assert column(plain, "validation.loss")[-1] == pytest.approx(2.2, rel=0.2)
    assert column(dropped, "train.loss")[-1] == pytest.approx(0.14, rel=0.3)
    assert column(dropped, "validation.loss")[-1] == pytest.approx(1.1, rel=0.3)


def test_early_stopping_ends_ten_epochs_behind_the_best(desk: Desk) -> None:
    stopped = desk.of(named("overfitting-3"))
    assert isinstance(stopped.end, Finished)
    assert stopped.end.early_stopped
    assert len(column(stopped, "validation.loss")) == (stopped.end.best_epoch or 0) + 10


def test_the_plain_recurrent_network_falls_behind_the_gated_one(desk: Desk) -> None:
    plain, gated = (desk.of(named(f"recurrent-{number}")).end for number in (1, 2))
    assert isinstance(plain, Finished)
    assert isinstance(gated, Finished)
    assert (gated.metrics["test.accuracy"] or 0) > (plain.metrics["test.accuracy"] or 0) + 0.1


def test_who_wins_in_the_ravine_and_leaves_the_saddle(tmp_path: Path) -> None:
    ravine = lab_data(json.dumps(named("optimizers-1").body), "optimizers", tmp_path)["optimizers"]
    plain, momentum, nesterov, *_ = (run["arrived_at"] for run in ravine)
    assert plain is None
    assert 45 <= momentum <= 60
    assert 18 <= nesterov <= 28
    valley = lab_data(json.dumps(named("optimizers-3").body), "optimizers", tmp_path)["optimizers"]
    assert [run["name"].split()[0] for run in valley if run["arrived_at"] is not None] == ["lbfgs"]
    saddle = lab_data(json.dumps(named("optimizers-2").body), "optimizers", tmp_path)["optimizers"]
    still = saddle[0]["path"][30]
    assert abs(still[1]) < 0.1
    assert all(abs(run["path"][30][1]) > 0.5 for run in saddle[2:])


def test_what_first_weights_do_in_fifty_layers(tmp_path: Path) -> None:
    data = lab_data(json.dumps(named("initialisation-1").body), "init", tmp_path)
    *some, zeros = (each["activation_std"] for each in data["combinations"])
    he, xavier, large, small = (deviations[-1] / deviations[0] for deviations in some)
    assert 0.1 < he < 10
    # 49 layers behind the first, each with half of the variance
    assert xavier / he == pytest.approx(2**-24.5, rel=1e-3)
    assert large > 1e6
    assert small < 1e-20
    assert zeros[-1] == 0
