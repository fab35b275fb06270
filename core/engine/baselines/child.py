"""`python -m core.engine.baselines.child`: fits baselines in a process of their own, which has scikit-learn's threads.

The request is JSON on the standard input, each answer a line of it on the standard output: what `baseline` gives, or
`{"error": {"code", "detail"}}`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from core.engine.baselines.models import Unfit, baseline
from core.errors import NetmillError
from core.spec.baselines import Baseline
from core.spec.dataset import DatasetSchema
from core.spec.job import JobSpec

_PR_SET_PDEATHSIG = 1
# the network comes first where there are too few cores for both
_NICE = 5


def main() -> None:
    """Answers one request, a line for each of its `names`."""
    request: dict[str, Any] = json.load(sys.stdin)
    _die_with(request["parent"])
    os.nice(_NICE)
    for name in request["names"]:
        print(json.dumps(_answer(name, request), allow_nan=False), flush=True)  # noqa: T201 - the answer


def _answer(name: Baseline, request: dict[str, Any]) -> dict[str, Any]:
    spec, schema = JobSpec.model_validate(request["spec"]), DatasetSchema.model_validate(request["schema"])
    try:
        return baseline(name, spec, schema, Path(request["data_path"]), request["threads"])
    except Unfit as fault:
        return {"error": {"code": "not_fitted", "detail": str(fault)}}
    except NetmillError as fault:
        return {"error": {"code": fault.code, "detail": fault.detail}}
    except MemoryError:
        return {"error": {"code": "out_of_memory", "detail": "the model needs more memory than the run may use"}}


def _die_with(parent: int) -> None:
    """Whoever asked is gone: nobody will read the answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
