"""A workbench: job bodies to runs, and runs to their events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.data.builtin import make_builtin
from core.data.ingest import Ingested, ingest
from core.engine.run import Run, train
from core.events import Checkpoint, Event, Metrics
from core.spec.limits import Limits
from core.spec.plan import Plan, check_job
from core.states import StopReason


def never() -> None:
    """Nobody asks this run to stop."""


def after_steps(steps: int, reason: StopReason = StopReason.PAUSE) -> Callable[[], StopReason | None]:
    """Asks to stop once `steps` steps were done."""
    asked = -1

    def should_stop() -> StopReason | None:
        nonlocal asked
        asked += 1
        return reason if asked >= steps else None

    return should_stop


def last(events: list[Event], kind: type[Any]) -> Any:
    return [event for event in events if isinstance(event, kind)][-1]


def rows(events: list[Event]) -> list[tuple[int, int, dict[str, float | None]]]:
    """The history without its clock."""
    return [(event.epoch, event.step, event.values) for event in events if isinstance(event, Metrics)]


def files(checkpoint: Checkpoint) -> tuple[Path, Path]:
    return Path(checkpoint.content_path), Path(checkpoint.state_path)


@dataclass
class Bench:
    """Makes runs in a folder of its own."""

    folder: Path
    sets: dict[str, Ingested]
    _made: dict[str, Any] = field(default_factory=dict)
    """By name the parameters of the built-in sets that stand in `sets`."""

    def plan(self, body: dict[str, Any]) -> Plan:
        """The plan of a job body; a built-in set is made at its first use."""
        name = body["data"]["dataset"]
        parameters = body["data"].get("parameters", {})
        if name not in self.sets or self._made.get(name, parameters) != parameters:
            folder = self.folder / "data" / f"{name}-{len(list(self.folder.glob(f'data/{name}-*')))}"
            self.sets[name] = make_builtin(name, parameters, folder)
            self._made[name] = parameters
        return check_job(body, lambda _: self.sets[name].schema, Limits())

    def run(self, body: dict[str, Any], **options: Any) -> Run:
        """The run of a job body, checked and resolved as the service does it."""
        name = body["data"]["dataset"]
        plan = self.plan(body)
        workdir = self.folder / f"run{len(list(self.folder.iterdir()))}"
        workdir.mkdir()
        return Run(plan.spec, self.sets[name].schema, self.sets[name].data_path, workdir, **options)

    def events(self, body: dict[str, Any], should_stop: Any = never, **options: Any) -> list[Event]:
        return list(train(self.run(body, **options), should_stop))

    def resumed(self, run: Run, checkpoint: Checkpoint, should_stop: Any = never, **changes: Any) -> list[Event]:
        """The same run, taken up from a checkpoint."""
        return list(train(replace(run, resume=files(checkpoint), **changes), should_stop))

    def upload(self, name: str, source: Path, kind: str) -> None:
        """A data set of one's own under `name`."""
        workdir = self.folder / f"upload-{name}"
        workdir.mkdir()
        self.sets[name] = ingest(source, kind, workdir, Limits())
