"""Write `.env` with random secrets for docker compose; a file that is there already stays as it is."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

TEMPLATE = """\
# Made by `make env`. docker compose reads it; keep it out of version control.
# The passwords are set when the volumes are first made: to change one later, change it in the database too.
POSTGRES_PASSWORD={postgres}
REDIS_PASSWORD={redis}
# The first admin key: send it as `Authorization: Bearer ...`, and make other keys with POST /v1/keys.
NETMILL_ADMIN_KEY={admin}
# Where the API listens on this host. Put a proxy with TLS in front before you say 0.0.0.0.
NETMILL_BIND=127.0.0.1
PORT=8000
"""


def write_env(target: Path) -> bool:
    """True when the file was written, False when there was one; it is readable by its owner alone from the start."""
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        # hexadecimal: goes into URLs and shells without quoting
        file.write(
            TEMPLATE.format(
                postgres=secrets.token_hex(24), redis=secrets.token_hex(24), admin=f"nm_{secrets.token_hex(24)}"
            )
        )
    return True


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("target", nargs="?", type=Path, default=Path(__file__).parents[1] / ".env")
    target = options.parse_args().target
    print(f"wrote {target}" if write_env(target) else f"{target} is there already and stays as it is")
    return 0


if __name__ == "__main__":
    sys.exit(main())
