"""The files that figures stand in: one for each part, and nothing in them is written by hand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

# not named as this module: mypy would take the folder for it
FOLDER = Path(__file__).with_name("measured")


def options(about: str | None, quick: str = "few repeats") -> argparse.ArgumentParser:
    """What every part may be asked for; `quick` says what becomes of it in minutes."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the JSON file")
    return parser


def write(part: str, figures: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Where they stand now."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part}.json"
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def read(part: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The figures of a part; None when it has never been measured."""
    path = folder / f"{part}.json"
    if not path.exists():
        return None
    figures: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return figures
