"""What a trained network can be asked about itself: one function for each type in `core.spec.analyses.ANALYSES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from core.engine.analyses.boundary import decision_boundary
from core.engine.analyses.calibration import calibration
from core.engine.analyses.confusion import confusion
from core.engine.analyses.context import Context
from core.engine.analyses.filters import filters
from core.engine.analyses.graph import graph
from core.engine.analyses.histograms import histograms
from core.engine.analyses.importance import features
from core.engine.analyses.landscape import loss_landscape
from core.engine.analyses.latent import latent
from core.engine.analyses.reconstructions import reconstructions
from core.engine.analyses.roc import roc
from core.engine.safe import json_safe
from core.spec.analyses import AnalysisRequest
from core.spec.analysis_request import check_analysis

COMPUTE: dict[str, Callable[[Any, Context], dict[str, Any]]] = {
    "loss_landscape": loss_landscape,
    "decision_boundary": decision_boundary,
    "confusion": confusion,
    "roc": roc,
    "calibration": calibration,
    "latent": latent,
    "reconstructions": reconstructions,
    "features": features,
    "filters": filters,
    "graph": graph,
    "histograms": histograms,
}

__all__ = ["COMPUTE", "Context", "analyse"]


def analyse(request: AnalysisRequest, context: Context) -> dict[str, Any]:
    """The analysis as JSON-safe data that a picture can be drawn from; the same request gives the same data.

    Invalid says why the job cannot answer; TrainingFailed(`data_error`) that its data cannot be prepared again.
    The model is left as it was.
    """
    check_analysis(request, context.spec, context.model.classes)
    torch.set_num_threads(context.threads)
    data: dict[str, Any] = json_safe(
        {"type": request.type, "task": context.spec.task, **COMPUTE[request.type](request, context)}
    )
    return data
