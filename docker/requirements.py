"""Print what pyproject.toml asks for, so that an image installs packages before it copies the source.

Run: python requirements.py EXTRA... > requirements.txt
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
lines = [*project["dependencies"]]
for extra in sys.argv[1:]:
    lines += project["optional-dependencies"][extra]
sys.stdout.write("\n".join(lines) + "\n")
