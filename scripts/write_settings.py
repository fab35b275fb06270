"""Write the tables of settings and limits into docs/deploy.md; a test fails while they are out of date."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from core.settings import Settings
from core.spec.limits import Limits

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy.md"


def _row(variable: str, field: FieldInfo) -> str:
    default = (
        "required" if field.default is PydanticUndefined else "" if field.default is None else f"`{field.default}`"
    )
    return f"| `{variable}` | {default} | {field.description or ''} |"


def table(model: type[BaseModel], prefix: str) -> str:
    """One row for each field: the variable's name, its default, its description."""
    rows = [
        _row(field.alias or f"{prefix}{name.upper()}", field)
        for name, field in model.model_fields.items()
        if name != "limits"
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def with_tables(text: str) -> str:
    """The document with the table under each of the two headings made anew."""
    for heading, made in (
        ("Settings", table(Settings, "NETMILL_")),
        ("Limits", table(Limits, "NETMILL_LIMIT_")),
    ):
        pattern = rf"(\n## {heading}\n.*?\n\n)\| variable.*?(?=\n\n## )"
        text, count = re.subn(pattern, lambda found, made=made: found[1] + made, text, flags=re.DOTALL)  # type: ignore[misc]
        if count != 1:
            sys.exit(f"{DEPLOY} has {count} tables under '## {heading}', expected one")
    return text


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="change nothing; exit 1 when the tables are out of date")
    text = DEPLOY.read_text()
    made = with_tables(text)
    if options.parse_args().check:
        return int(made != text)
    DEPLOY.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
