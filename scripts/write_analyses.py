"""Write the tables of request fields into docs/analyses.md; a test fails while they are out of date.

With --pictures also train the networks whose pictures the page shows, and draw them.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from api.pictures import render
from core.data.builtin import make_builtin
from core.engine.analyses import Context, analyse
from core.engine.run import Run, train
from core.engine.trained import load_trained
from core.events import Checkpoint
from core.spec.analyses import AnalysisBase
from core.spec.analysis_request import read_analysis
from core.spec.catalog import catalog
from core.spec.limits import Limits
from core.spec.plan import check_job

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURES = DOCS / "analyses.md", DOCS / "images" / "analyses"
# pages are read on slow lines as well
_MOST_BYTES = 80_000
_WIDTH, _WIDE = 640, 900

_MOONS: dict[str, Any] = {
    "data": {"dataset": "moons", "parameters": {"rows": 1000}},
    "network": {"family": "feed_forward", "hidden": [16, 8], "activation": "tanh"},
    "optimizer": {"lr": 0.02},
    "training": {"epochs": 40},
    "checkpoints": {"keep_last": 40},
}
_HIGGS: dict[str, Any] = {
    "data": {"dataset": "higgs"},
    "network": {"family": "feed_forward", "hidden": [64]},
    "training": {"epochs": 10, "batch_size": 128},
}
_DIGITS: dict[str, Any] = {
    "data": {"dataset": "digits", "input_shape": [1, 8, 8]},
    "network": {"layers": [{"type": "flatten"}, {"type": "linear", "units": 32}, {"type": "relu"}]},
    "regularization": {"l2": 0.002},
    "training": {"epochs": 30},
}
_AUTOENCODER: dict[str, Any] = {
    "data": {"dataset": "digits", "input_shape": [1, 8, 8], "preprocess": {"scale": "minmax"}},
    "task": "reconstruction",
    "network": {
        "layers": [
            {"type": "flatten"},
            {"type": "linear", "units": 64},
            {"type": "relu"},
            {"type": "linear", "units": 2},
            {"type": "linear", "units": 64},
            {"type": "relu"},
        ]
    },
    "optimizer": {"lr": 0.005},
    "training": {"epochs": 60},
}
_SMALL: dict[str, Any] = {
    "data": {"dataset": "moons"},
    "network": {"family": "feed_forward", "hidden": [3], "activation": "sigmoid"},
    "training": {"epochs": 30},
}
SHOWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "loss_landscape": (_MOONS, {"directions": "trajectory", "points": 41}),
    "decision_boundary": (_MOONS, {}),
    "confusion": (_DIGITS, {}),
    "roc": (_HIGGS, {"axes": "inverse"}),
    "calibration": (_HIGGS, {}),
    "latent": (_AUTOENCODER, {"split": "train"}),
    "reconstructions": (_AUTOENCODER, {}),
    "features": (_HIGGS, {}),
    "filters": (_DIGITS, {}),
    "graph": (_SMALL, {}),
    "histograms": (_DIGITS, {}),
}


def table(fields: list[dict[str, Any]]) -> str:
    """One row for each field of a request that not every analysis has."""
    rows = [
        f"| `{field['name']}` | {field['type']} | {_told(field['default'])} | {field['description']} |"
        for field in fields
        if field["name"] not in AnalysisBase.model_fields
    ]
    return "\n".join(["| field | | default | meaning |", "|---|---|---|---|", *rows])


def _told(default: object) -> str:
    return "null" if default is None else f"`{default}`".replace("'", '"')


def with_tables(text: str) -> str:
    """The document with the table under each type's heading made anew."""
    for entry in catalog()["analyses"]:
        name, made = entry["type"], table(entry["parameters"])
        pattern = rf"(\n## {name}\n.*?\n)\| field \|.*?(?=\n\n)"
        text, count = re.subn(pattern, lambda found, made=made: found[1] + made, text, flags=re.DOTALL)  # type: ignore[misc]
        if count != 1:
            sys.exit(f"{PAGE} has {count} tables under '## {name}', expected one")
    return text


def context_of(body: dict[str, Any], folder: Path) -> Context:
    """The best checkpoint of a job that is trained in `folder`."""
    name, given = body["data"]["dataset"], body["data"].get("parameters", {})
    made = make_builtin(name, given, folder / "data")
    plan = check_job(body, lambda _: made.schema, Limits())
    events = train(Run(plan.spec, made.schema, made.data_path, folder), lambda: None)
    kept = [event for event in events if isinstance(event, Checkpoint)]
    best = next((event for event in reversed(kept) if event.is_best), kept[-1])
    paths = [Path(event.content_path) for event in sorted(kept, key=lambda event: event.step)]
    return Context(load_trained(Path(best.content_path)), plan.spec, made.schema, made.data_path, tuple(paths))


def draw() -> None:
    """The page's pictures, small enough for a page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, (body, request) in SHOWN.items():
        with tempfile.TemporaryDirectory() as folder:
            data = analyse(read_analysis({"type": name, **request}), context_of(body, Path(folder)))
        image = Image.open(io.BytesIO(render("png", data))).convert("RGB")
        width = _WIDE if image.width > 1.6 * image.height else _WIDTH
        image.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
        target = PICTURES / f"{name}.png"
        image.quantize(256, Image.Quantize.MAXCOVERAGE).save(target, optimize=True)
        size = target.stat().st_size
        print(f"{target.name}: {size} bytes")
        if size > _MOST_BYTES:
            sys.exit(f"{target} has {size} bytes, expected at most {_MOST_BYTES}")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="change nothing; exit 1 when the tables are out of date")
    options.add_argument("--pictures", action="store_true", help="train and draw what the page shows")
    chosen = options.parse_args()
    text = PAGE.read_text()
    made = with_tables(text)
    if chosen.check:
        return int(made != text)
    PAGE.write_text(made)
    if chosen.pictures:
        draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
