"""Networks of convolutions, attention, embeddings and blocks are analysed as any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.engine.analyses.conftest import Studio
from tests.core.engine.test_layers_run import NETWORKS, body


@pytest.mark.parametrize("name", NETWORKS)
def test_every_analysis_of_a_classifier(tmp_path: Path, name: str) -> None:
    studio = Studio(tmp_path)
    job = body(studio.bench, *NETWORKS[name])
    for kind in ("confusion", "roc", "calibration", "latent", "features", "filters", "graph", "histograms"):
        assert studio.analyse(job, {"type": kind})["type"] == kind


def test_a_graph_shows_that_codes_have_no_slope(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    small = [{"type": "embedding", "entries": 5, "units": 2}, {"type": "global_avg_pool"}]
    data = studio.analyse(body(studio.bench, small, (3,)), {"type": "graph"})
    inputs = [node for node in data["nodes"] if node["layer"] == -1]
    assert len(inputs) == 3
    assert all(node["gradient"] == 0 for node in inputs)
    assert not [edge for edge in data["edges"] if edge["from"] in {node["id"] for node in inputs}]
