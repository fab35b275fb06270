"""Experiments: asked once, answered once, without a job, and forgotten after a while."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest

from core.db.session import reading, transaction
from core.db.tables import Analysis
from core.errors import Forbidden, Invalid, NotFound
from core.services import analyses, answering, lab, sweeping
from core.services.analyses import AnalysisView
from core.services.answering import GONE, Taken
from core.services.principal import LOCAL, Principal
from core.spec.limits import Limits
from tests.support.training import House

RACE: dict[str, Any] = {"surface": "ravine", "optimizers": ["adam", {"type": "sgd", "lr": 0.01}]}
ON_NETWORK: dict[str, Any] = {
    "network": {"family": "feed_forward", "hidden": [4]},
    "data": {"dataset": "iris"},
    "optimizers": ["adam"],
}
INIT: dict[str, Any] = {"combinations": [{"activation": "relu", "init": "he"}], "depth": 3, "width": 4}


def ask(house: House, kind: str, body: Any, who: Principal = LOCAL) -> tuple[AnalysisView, bool]:
    with transaction(house.sessions) as session:
        return lab.ask(session, who, kind, body, Limits())


def take(house: House) -> Taken:
    with transaction(house.sessions) as session:
        held = answering.take(session, house.store, worker_id="w", lease_s=30)
    assert held is not None
    return held


@pytest.mark.parametrize(("kind", "body"), [("optimizers", RACE), ("init", INIT), ("optimizers", ON_NETWORK)])
def test_an_experiment_is_answered_once(house: House, kind: str, body: Any) -> None:
    view, is_new = ask(house, kind, body)
    assert (is_new, view.type, view.job_id, view.checkpoint_id, view.status) == (True, kind, None, None, "queued")
    assert ask(house, kind, json.loads(json.dumps(body))) == (view, False)
    held = take(house)
    assert (held.id, held.job_id, held.content_sha256, held.request) == (view.id, None, None, view.request)
    assert (held.data is not None) == ("network" in body)
    path = house.folder / "answer"
    path.write_bytes(gzip.compress(b'{"type": "x"}'))
    with transaction(house.sessions) as session:
        assert answering.answer(session, house.store, held, path)
    with reading(house.sessions) as session:
        done = analyses.get(session, LOCAL, view.id, job_id=None)
    assert analyses.read_data(house.store, done) == {"type": "x"}
    assert ask(house, kind, body) == (done, False)


def test_short_forms_are_the_same_question(house: House) -> None:
    view, _ = ask(house, "optimizers", RACE)
    long = {**RACE, "optimizers": [{"optimizer": {"type": "adam"}}, {"optimizer": {"type": "sgd", "lr": 0.01}}]}
    assert ask(house, "optimizers", {**long, "steps": 200}) == (view, False)


def test_a_race_on_a_network_holds_its_resolved_spec(house: House) -> None:
    ask(house, "optimizers", ON_NETWORK)
    held = take(house)
    assert held.schema
    assert held.spec
    assert held.data
    assert held.spec["task"] == "classification"
    assert held.spec["network"]["layers"][0]["units"] == 4
    assert (held.data.name, held.data.sha256) == ("iris", None)


def test_rows_that_were_deleted_meanwhile_are_found_missing(house: House) -> None:
    ask(house, "optimizers", ON_NETWORK)
    with transaction(house.sessions) as session:
        row = session.query(Analysis).one()
        assert row.training
        data = {**row.training["spec"]["data"], "dataset": "mine"}
        row.training = {**row.training, "dataset_id": "ds_x", "spec": {**row.training["spec"], "data": data}}
    held = take(house)
    assert held.data is not None
    assert held.data.sha256 == GONE


def test_faults_stand_where_they_were_written(house: House) -> None:
    bad = {**ON_NETWORK, "data": {"dataset": "nowhere"}, "batch_size": 0}
    with pytest.raises(Invalid) as caught:
        ask(house, "optimizers", bad)
    assert [error.pointer for error in caught.value.errors] == ["/batch_size"]
    bad = {**ON_NETWORK, "data": {"dataset": "nowhere"}, "optimizers": [{"type": "adam", "lr": -1}]}
    with pytest.raises(Invalid) as caught:
        ask(house, "optimizers", bad)
    assert [error.pointer for error in caught.value.errors] == ["/optimizers/0/lr"]
    with pytest.raises(Invalid) as caught:
        ask(house, "optimizers", {**ON_NETWORK, "data": {"dataset": "nowhere"}})
    assert [error.pointer for error in caught.value.errors] == ["/data/dataset"]


def test_others_see_nothing_of_it(house: House, stranger: Principal) -> None:
    view, _ = ask(house, "init", INIT)
    with pytest.raises(NotFound), reading(house.sessions) as session:
        analyses.get(session, stranger, view.id, job_id=None)
    assert ask(house, "init", INIT, stranger)[0].id != view.id
    with pytest.raises(Forbidden):
        ask(house, "init", INIT, Principal("default", frozenset({"read"})))


def test_an_old_experiment_is_forgotten(house: House) -> None:
    view, _ = ask(house, "init", INIT)
    held = take(house)
    with transaction(house.sessions) as session:
        answering.refuse(session, house.store, held, {"code": "x", "detail": "y", "hint": None, "errors": []})
        sweeping.purge(session, idempotency_ttl_s=86400.0)
    with transaction(house.sessions) as session:
        row = session.get_one(Analysis, view.id)
        assert row.finished_at is not None
        row.finished_at -= timedelta(days=8)
        session.flush()
        sweeping.purge(session, idempotency_ttl_s=86400.0)
    with pytest.raises(NotFound), reading(house.sessions) as session:
        analyses.get(session, LOCAL, view.id, job_id=None)
