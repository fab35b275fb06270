"""What would end every part at its start, found before one is started and restarted for ever."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from core.settings import Settings
from embedded.service import Refused


def check_settings(environment: Mapping[str, str]) -> None:
    """Nothing, when the parts will accept this process's environment; raises Refused with every fault."""
    faults = []
    try:
        # the two that have no default are given to the parts by `netmill up` itself
        Settings(
            database_url=environment.get("DATABASE_URL") or "sqlite:///",
            redis_url=environment.get("REDIS_URL") or "redis:",
        )
    except ValidationError as error:
        faults = [_in_words(fault["loc"], fault["msg"], error.title) for fault in error.errors(include_input=False)]
    key = environment.get("NETMILL_ADMIN_KEY")
    if key and (not key.startswith("nm_") or len(key) < 20):
        faults.append(f"NETMILL_ADMIN_KEY has {len(key)} characters, expected nm_ first and at least 20 in all")
    if faults:
        raise Refused("; ".join(faults))


def _in_words(place: tuple[int | str, ...], message: str, model: str) -> str:
    prefix = "NETMILL_LIMIT_" if model == "LimitSettings" else "NETMILL_"
    return f"{prefix}{str(place[0]).upper()}: {message[0].lower()}{message[1:]} (see docs/deploy.md)"
