"""Trained networks to analyse, each trained once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib import rc_context

from api.pictures import PICTURES
from api.pictures.house import STYLE
from core.engine.analyses import Context, analyse
from core.engine.trained import load_trained
from core.events import Checkpoint
from core.spec.analysis_request import read_analysis
from tests.core.engine.workbench import Bench


class Studio:
    """Trains job bodies, each once, and analyses what came out."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder, {})
        self._contexts: dict[str, Context] = {}

    def context(self, body: dict[str, Any]) -> Context:
        """The best checkpoint's model with all that an analysis needs."""
        key = json.dumps(body, sort_keys=True)
        if key not in self._contexts:
            events = self.bench.events(body)
            kept = [event for event in events if isinstance(event, Checkpoint)]
            paths = [Path(event.content_path) for event in sorted(kept, key=lambda event: event.step)]
            run = self.bench.run(body)
            model = load_trained(Path(next((e for e in reversed(kept) if e.is_best), kept[-1]).content_path))
            self._contexts[key] = Context(model, run.spec, run.schema, run.data_path, tuple(paths))
        return replace(self._contexts[key])

    def analyse(self, body: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        """The data, which are JSON and can be drawn."""
        data = analyse(read_analysis(request), self.context(body))
        text = json.dumps(data, allow_nan=False)
        assert len(text) < 4_000_000
        with rc_context(STYLE):
            assert PICTURES[data["type"]](data).axes
        return data


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    threads = torch.get_num_threads()
    yield Studio(tmp_path_factory.mktemp("studio"))
    torch.set_num_threads(threads)
