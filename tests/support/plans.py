"""How a database goes about what the services ask of it: every statement of a session is explained before it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

LARGE = frozenset({"jobs", "job_tags", "job_specs", "job_events", "metrics", "attempts", "checkpoints", "blobs"})
# indexes of the few rows that a condition leaves; to read one of them whole is to read what is wanted
PARTIAL = ("ix_jobs_open", "ix_jobs_claim", "ix_jobs_dataset_id_id", "ix_blobs_loose")


@dataclass
class Plans:
    """What was asked: `scans` are statements that read all of a large table, `rows` the most that one step touched."""

    scans: list[str] = field(default_factory=list)
    rows: int = 0
    explained: int = 0

    def take_postgresql(self, statement: str, plan: dict[str, Any]) -> None:
        touched = plan.get("Actual Rows", 0) + plan.get("Rows Removed by Filter", 0)
        self.rows = max(self.rows, int(touched * plan.get("Actual Loops", 1)))
        if plan["Node Type"].endswith("Seq Scan") and plan.get("Relation Name") in LARGE:
            self.scans.append(f"{plan['Relation Name']}: {statement}")
        for inner in plan.get("Plans", ()):
            self.take_postgresql(statement, inner)

    def take_sqlite(self, statement: str, detail: str) -> None:
        words = detail.split()
        if words[0] == "SCAN" and words[1] in LARGE and not any(index in words for index in PARTIAL):
            self.scans.append(f"{detail}: {statement}")


@contextmanager
def explained(engine: Engine) -> Iterator[Plans]:
    """The plans of all statements within the block but plain inserts.

    On PostgreSQL each is run once more for it, in a savepoint that is rolled back, so that rows touched are counted.
    """
    plans = Plans()
    take = _postgresql if engine.dialect.name == "postgresql" else _sqlite

    def before(conn: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.lstrip().split(None, 1)[0].upper() in ("SELECT", "UPDATE", "DELETE", "WITH") and not many:
            plans.explained += 1
            take(conn.connection.cursor(), statement, parameters, plans)

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", before)


def _postgresql(cursor: Any, statement: str, parameters: Any, plans: Plans) -> None:
    cursor.execute("SAVEPOINT explained")
    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    found = cursor.fetchone()[0]
    cursor.execute("ROLLBACK TO SAVEPOINT explained")
    plans.take_postgresql(statement, (json.loads(found) if isinstance(found, str) else found)[0]["Plan"])


def _sqlite(cursor: Any, statement: str, parameters: Any, plans: Plans) -> None:
    for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall():
        plans.take_sqlite(statement, row[3])
