"""What requests that come together are looked up by: one query for all who ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from core.db.session import Sessions, reading
from core.ids import ANALYSIS
from core.services import analyses, predictions, watch
from core.services.keys import authenticate
from core.services.principal import Principal
from core.services.watch import Head


@dataclass(frozen=True, slots=True)
class Looks:
    """Each is a transaction of its own; what is not there is not in the answer."""

    sessions: Sessions

    def keys(self, tokens: Collection[str]) -> Mapping[str, Principal]:
        """Who the tokens stand for."""
        with reading(self.sessions) as session:
            return authenticate(session, tokens)

    def jobs(self, ids: Collection[str]) -> Mapping[str, Head]:
        """The heads of these jobs."""
        with reading(self.sessions) as session:
            return watch.heads(session, ids)

    def questions(self, ids: Collection[str]) -> Mapping[str, Any]:
        """How these predictions and analyses stand."""
        with reading(self.sessions) as session:
            found = predictions.statuses(session, [one for one in ids if not one.startswith(f"{ANALYSIS}_")])
            return found | analyses.statuses(session, [one for one in ids if one not in found])
