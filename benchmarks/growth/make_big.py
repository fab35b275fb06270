"""A PostgreSQL database as after years of use: finished jobs with their specs, events, checkpoints and histories.

    .venv/bin/python -m benchmarks.growth.make_big --database-url URL --jobs 1000000 --rows 20000000

The database is migrated first and must hold no jobs. The rows are made by the server itself (INSERT ... SELECT
generate_series), each table's indexes after its rows; every value is a function of the row's number, so that two runs
make the same database.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from typing import Any

from sqlalchemy import Connection, text

from core.data.builtin import builtin_schema
from core.db.migrate import upgrade
from core.db.session import make_engine, make_sessions, transaction
from core.services import accounts
from core.spec.limits import Limits
from core.spec.plan import check_job

BODY: dict[str, Any] = {
    "data": {"dataset": "iris"},
    "network": {"layers": [{"type": "linear", "units": 32}, {"type": "relu"}]},
}
PROJECTS = 10
# every so many jobs one has trained for long; the others share the rest of the rows evenly
LONG_EVERY, LONG_ROWS = 1000, 5000
ROWS = f"CASE WHEN i % {LONG_EVERY} = 0 THEN {LONG_ROWS} ELSE :usual END"
STATUSES = "CASE WHEN i % 25 = 0 THEN 'failed' WHEN i % 50 = 1 THEN 'cancelled' ELSE 'succeeded' END"

# ids sort by time as those of core.ids do: 48 bits of milliseconds, then 80 that mean nothing
FUNCTIONS = """
CREATE OR REPLACE FUNCTION growth_id(prefix text, i bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT prefix || '_' || lpad(to_hex(1700000000000 + i * 1000), 12, '0') || '7' || left(md5(i::text), 3)
         || '8' || right(md5(i::text), 15) $$;
CREATE OR REPLACE FUNCTION growth_time(i bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT to_timestamp(1700000000 + i) $$;
CREATE OR REPLACE FUNCTION growth_sha(kind text, i bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT md5(kind || i) || md5(i || kind) $$;
"""
JOBS = f"""
INSERT INTO jobs (id, project, name, tags, dataset, status, queue, created_at, changed_at, queued_at, not_before,
  started_at, finished_at, dispatched_at, fence, attempt_started_at, batch, crashes, version, event_seq, metric_seq,
  announced_seq, change_seq, progress, result, error, resume_exact, environment, last_checkpoint, best_checkpoint)
SELECT growth_id('job', i),
  CASE WHEN i % 10 < 8 THEN 'default' ELSE 'project-' || i % {PROJECTS - 1} END,
  'run ' || i, json_build_object('run', 'r' || i % 1000, 'team', 't' || i % 10),
  (ARRAY['iris', 'digits', 'higgs', 'wine'])[1 + i % 4], status, 'wake.cpu',
  growth_time(i), growth_time(i + 60), growth_time(i), growth_time(i), growth_time(i + 1), growth_time(i + 60),
  growth_time(i), 1, growth_time(i + 1), 20, 0, 40, rows + 3, rows, rows, 0,
  json_build_object('epoch', 20, 'epochs', 20, 'step', 660, 'steps', 660, 'eta_s', NULL, 'samples_per_s', 250000.0),
  CASE WHEN status = 'succeeded' THEN json_build_object('best_epoch', 17, 'best_step', 561, 'metrics',
    json_build_object('test.accuracy', 0.97, 'test.loss', 0.1 + (i % 89) / 1000.0), 'non_finite', json_build_array(),
    'early_stopped', false, 'baselines', json_build_object()) END,
  CASE WHEN status = 'failed' THEN json_build_object('code', 'diverged', 'detail', 'the loss is not finite',
    'pointer', '/optimizer/lr', 'hint', 'lower it', 'epoch', 3) END,
  true, json_build_object('torch', '2.13.0', 'threads', 1, 'capability', 'AVX2', 'device', 'cpu'),
  growth_id('ckpt', i), growth_id('ckpt', i)
FROM (SELECT i, {STATUSES} AS status, {ROWS} AS rows
      FROM generate_series(:first, :last) AS i) AS made
"""
SPECS = """
INSERT INTO job_specs (job_id, submitted, spec, schema)
SELECT growth_id('job', i), cast(:submitted AS json), cast(:spec AS json), cast(:schema AS json)
FROM generate_series(:first, :last) AS i
"""
ATTEMPTS = """
INSERT INTO attempts (job_id, fence, worker, started_at, ended_at, outcome)
SELECT growth_id('job', i), 1, 'worker-' || i % 16, growth_time(i + 1), growth_time(i + 60), 'succeeded'
FROM generate_series(:first, :last) AS i
"""
# what core.services.history stores: one event for a stretch of rows
EVENTS = f"""
INSERT INTO job_events (job_id, seq, type, time, data)
SELECT growth_id('job', i), seq, type, growth_time(i + place), data
FROM (SELECT i, {STATUSES} AS status, {ROWS} AS rows FROM generate_series(:first, :last) AS i) AS made,
  LATERAL (VALUES (1, 1, 'status', json_build_object('status', 'queued')),
    (2, 2, 'status', json_build_object('status', 'running', 'attempt', 1)),
    (3, 2 + rows, 'metrics', json_build_object('first', 1, 'last', rows)),
    (60, 3 + rows, 'status', json_build_object('status', status))) AS told (place, seq, type, data)
"""
TAGS = """
INSERT INTO job_tags (job_id, key, value, project)
SELECT growth_id('job', i), key, value, CASE WHEN i % 10 < 8 THEN 'default' ELSE 'project-' || i % 9 END
FROM generate_series(:first, :last) AS i,
  LATERAL (VALUES ('run', 'r' || i % 1000), ('team', 't' || i % 10)) AS tags (key, value)
"""
BLOBS = """
INSERT INTO blobs (sha256, bytes, location, chunk_bytes, complete, touched_at)
SELECT growth_sha(kind, i), 4096, 'database', 524288, true, growth_time(i + 60)
FROM generate_series(:first, :last) AS i, (VALUES ('content'), ('state')) AS kinds (kind)
"""
CHECKPOINTS = """
INSERT INTO checkpoints (id, job_id, fence, epoch, step, end_of_epoch, monitor, monitor_value, content_sha256,
  content_bytes, state_sha256, state_bytes, created_at)
SELECT growth_id('ckpt', i), growth_id('job', i), 1, 20, 660, true, 'validation.loss', 0.1, growth_sha('content', i),
  4096, growth_sha('state', i), 4096, growth_time(i + 60)
FROM generate_series(:first, :last) AS i
"""
METRICS = f"""
INSERT INTO metrics (job_id, seq, epoch, step, time, values, non_finite)
SELECT id, seq, seq, seq * 33, moment, json_build_object('train.loss', round((1.0 / seq)::numeric, 8),
  'validation.loss', round((1.1 / seq)::numeric, 8), 'validation.accuracy', round((1 - 0.5 / seq)::numeric, 8),
  'lr', 0.001), '[]'
FROM (SELECT growth_id('job', i) AS id, growth_time(i + 1) AS moment,
        {ROWS} AS rows
      FROM generate_series(:first, :last) AS i) AS made, generate_series(1, rows) AS seq
"""
STEPS = (
    ("jobs", JOBS),
    ("job_tags", TAGS),
    ("job_specs", SPECS),
    ("attempts", ATTEMPTS),
    ("job_events", EVENTS),
    ("blobs", BLOBS),
    ("checkpoints", CHECKPOINTS),
    ("metrics", METRICS),
)
_AT_ONCE = 50_000


def fill(connection: Connection, *, jobs: int, rows: int) -> None:
    """Makes the rows; the connection commits each statement by itself."""
    if connection.scalar(text("SELECT EXISTS (SELECT FROM jobs)")):
        raise SystemExit("the database holds jobs already; make an empty one")
    usual = max(1, (rows - jobs // LONG_EVERY * LONG_ROWS) // (jobs - jobs // LONG_EVERY))
    plan = check_job(BODY, lambda data: builtin_schema(data.dataset, data.parameters), Limits())
    documents = {"submitted": BODY, "spec": plan.spec.model_dump(mode="json")}
    documents["schema"] = builtin_schema("iris", {}).model_dump(mode="json")
    given: dict[str, Any] = {name: json.dumps(document) for name, document in documents.items()} | {"usual": usual}
    connection.execute(text(FUNCTIONS))
    for n in range(PROJECTS - 1):
        project = "INSERT INTO projects (name, created_at, seconds_trained) VALUES (:name, now(), 0)"
        connection.execute(text(project), {"name": f"project-{n}"})
    for table, statement in STEPS:
        began = time.monotonic()
        indexes = _take_indexes(connection, table)
        for first in range(1, jobs + 1, _AT_ONCE):
            span = {"first": first, "last": min(first + _AT_ONCE - 1, jobs)}
            connection.exec_driver_sql(_with(statement, given | span))
        for index in indexes:
            connection.execute(text(index))
        print(f"{table}: {time.monotonic() - began:.0f} s", flush=True)
    connection.execute(text("VACUUM (ANALYZE)"))


def _with(statement: str, values: dict[str, Any]) -> str:
    """The statement with literals for its `:name`: as parameters their types would not be known."""
    for name, value in values.items():
        literal = str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
        statement = re.sub(rf"(?<!:):{name}\b", literal.replace("\\", r"\\"), statement)
    return statement.replace("%", "%%")


# foreign keys, and the primary key unless another table refers to it
_CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = cast(:t AS regclass) AND (contype = 'f' OR contype = 'p'
  AND NOT EXISTS (SELECT FROM pg_constraint AS other WHERE other.confrelid = cast(:t AS regclass)))
"""
_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = :t AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


def _take_indexes(connection: Connection, table: str) -> list[str]:
    """Drops what slows a bulk load of the table down: indexes and foreign keys; the statements that make them anew."""
    found = connection.execute(text(_CONSTRAINTS), {"t": table}).all()
    again = [f'ALTER TABLE {table} ADD CONSTRAINT "{row.conname}" {row.definition}' for row in found]
    for row in found:
        connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT "{row.conname}"'))
    for row in connection.execute(text(_INDEXES), {"t": table}).all():
        connection.execute(text(f'DROP INDEX "{row.indexname}"'))
        again.append(row.indexdef)
    return again


def main() -> None:
    """Fills the database and says how large it is."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database-url", required=True)
    options.add_argument("--jobs", type=int, default=1_000_000)
    options.add_argument("--rows", type=int, default=20_000_000)
    arguments = options.parse_args()
    upgrade(arguments.database_url)
    engine = make_engine(arguments.database_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0; SET synchronous_commit = off"))
        fill(connection, jobs=arguments.jobs, rows=arguments.rows)
        with transaction(make_sessions(engine)) as session:
            accounts.recount(session)
        size = connection.scalar(text("SELECT pg_size_pretty(pg_database_size(current_database()))"))
    print(f"{arguments.jobs} jobs, {size}")


if __name__ == "__main__":
    main()
