"""Experiments of the lab: rows among the analyses that belong to no job and are kept for a while."""

from __future__ import annotations

from sqlalchemy.orm import Session

from core.data.builtin import BUILTIN
from core.services.analyses import AnalysisView, Entry, enter
from core.services.datasets import SchemaFinder, find_row
from core.services.principal import Principal
from core.spec.lab import NetworkRace
from core.spec.lab_request import plan_race, read_experiment
from core.spec.limits import Limits


def ask(session: Session, principal: Principal, kind: str, body: object, limits: Limits) -> tuple[AnalysisView, bool]:
    """The experiment and whether it is new; wake the workers after the commit when it is.

    The same request is answered by what is stored or under way. Raises Invalid with every fault, QuotaExceeded.
    """
    principal.require("write")
    experiment = read_experiment(kind, body)
    request = experiment.model_dump(mode="json")
    if not isinstance(experiment, NetworkRace):
        return enter(session, principal, Entry(kind, request, identity={}), limits)
    finder = SchemaFinder(session, principal, hold=True)
    plan = plan_race(experiment, finder, limits)
    schema = finder(plan.spec.data)
    assert schema is not None
    name = plan.spec.data.dataset
    row = None if name in BUILTIN else find_row(session, principal, name)
    training = {
        "spec": plan.spec.model_dump(mode="json"),
        "schema": schema.model_dump(mode="json"),
        "dataset_id": row and row.id,
    }
    # a name may stand for other rows tomorrow
    identity = {"dataset": row.sha256 if row else name}
    return enter(session, principal, Entry(kind, request, identity, training=training), limits)
