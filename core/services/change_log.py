"""A job's changes as they stand in its row: asked for, made at a step, or missed because the job ended before.

An entry has `number`, `time`, `patch` (as the user sent it), `fields` (what the run is to take), `status` (pending,
applied, missed), `step`, `epoch`, and once made `before`: the values that it replaced, so that a run which begins anew
begins with those. The job is locked whenever an entry changes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from core.changes import Change, live_fields, with_fields
from core.clock import to_rfc3339
from core.db.tables import Job, JobSpecs
from core.events import Changed

Entry = dict[str, Any]
_TOLD = ("number", "patch", "status", "step", "epoch")


def ask(job: Job, specs: JobSpecs, time: datetime, patch: dict[str, Any], fields: dict[str, Any]) -> Entry:
    """Appends a change to be made at the run's next step."""
    job.change_seq += 1
    entry: Entry = {"number": job.change_seq, "time": to_rfc3339(time), "patch": patch, "fields": fields}
    entry |= {"status": "pending", "step": None, "epoch": None, "before": None}
    specs.changes = [*(specs.changes or ()), entry]
    return entry


def make(specs: JobSpecs, event: Changed) -> Entry | None:
    """Writes down where a pending change was made and takes it into the spec; None when it is known already."""
    entries: list[Entry] = specs.changes or []
    entry = next((entry for entry in entries if entry["number"] == event.number), None)
    if entry is None or entry["status"] != "pending":
        return None
    known = live_fields(specs.spec)
    before = {name: known[name] for name in event.fields}
    made = {"fields": event.fields, "status": "applied", "step": event.step, "epoch": event.epoch, "before": before}
    specs.spec = with_fields(specs.spec, event.fields)
    specs.submitted = with_fields(specs.submitted, event.fields)
    _replace(specs, lambda each: each | made if each is entry else each)
    return entry | made


def miss(specs: JobSpecs) -> list[Entry]:
    """Gives up what is pending, for the job is over; the entries."""
    pending = [entry | {"status": "missed"} for entry in specs.changes or () if entry["status"] == "pending"]
    _replace(specs, lambda each: each | {"status": "missed"} if each["status"] == "pending" else each)
    return pending


def overrule_epochs(specs: JobSpecs) -> None:
    """From now on the spec alone says how many epochs there are: who continues a job has the last word."""

    def without(entry: Entry) -> Entry:
        parts = {part: entry[part] and {k: v for k, v in entry[part].items() if k != "epochs"} for part in _VALUES}
        return entry | parts

    _replace(specs, without)


_VALUES = ("fields", "before")


def for_run(specs: JobSpecs) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """The spec that a run from the very beginning begins with, and the changes to make on its way."""
    spec, changes = specs.spec, []
    for entry in reversed(specs.changes or []):
        if entry["status"] == "applied":
            spec = with_fields(spec, entry["before"])
        if entry["status"] != "missed":
            changes.append(Change(entry["number"], entry["fields"], entry["step"]))
    return spec, tuple(reversed(changes))


def pending(specs: JobSpecs, after: int = 0) -> tuple[Change, ...]:
    """The changes that wait, those with a greater number than `after`."""
    waiting = [entry for entry in specs.changes or () if entry["status"] == "pending" and entry["number"] > after]
    return tuple(Change(entry["number"], entry["fields"]) for entry in waiting)


def asked_spec(specs: JobSpecs) -> dict[str, Any]:
    """The spec as it will be once every pending change is made."""
    spec = specs.spec
    for change in pending(specs):
        spec = with_fields(spec, change.fields)
    return spec


def told(entry: Entry) -> tuple[str, dict[str, Any]]:
    """The event of an entry."""
    return "change", {name: entry[name] for name in _TOLD}


def _replace(specs: JobSpecs, with_what: Callable[[Entry], Entry]) -> None:
    if specs.changes:
        specs.changes = [with_what(entry) for entry in specs.changes]
