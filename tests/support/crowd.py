"""Tens of thousands of finished jobs, made by the database: enough for its planner to choose as among millions."""

from __future__ import annotations

import re

from sqlalchemy import Connection

JOBS = 20_000
DATASET = "ds_" + "0" * 32
LONG = 7
"""The job with a long history of LONG_ROWS rows; the others have one row each."""
LONG_ROWS = 3_000

# SQL for both; what they say in different words is written HEX(n), SHA(n), TIME(n) and JSON(text)
_PROJECT = "CASE WHEN i % 10 < 8 THEN 'default' ELSE 'other' END"
_STATEMENTS = (
    "INSERT INTO projects (name, created_at, seconds_trained) VALUES ('other', TIME(0), 0)",
    """INSERT INTO blobs (sha256, bytes, location, chunk_bytes, complete, touched_at)
       NUMBERS SELECT SHA(i), 10, 'database', 512, true, TIME(i) FROM n""",
    f"""INSERT INTO datasets (id, project, name, kind, sha256, bytes, rows, schema, profile, preview, created_at)
       VALUES ('{DATASET}', 'default', 'mine', 'table', SHA(1), 1, 1, JSON('{{"columns":[],"arrays":[]}}'),
         JSON('{{}}'), JSON('[]'), TIME(0))""",
    f"""INSERT INTO jobs (id, project, name, tags, dataset, dataset_id, status, queue, created_at, changed_at,
         queued_at, not_before, started_at, finished_at, dispatched_at, fence, batch, crashes, version, event_seq,
         metric_seq, announced_seq, progress, result, error)
       NUMBERS SELECT 'job_' || HEX(i), {_PROJECT}, 'run ' || i,
         JSON('{{"run":"r' || (i % 500) || '","team":"t' || (i % 4) || '"}}'),
         CASE WHEN i % 1000 = 1 THEN 'mine' WHEN i % 2 = 0 THEN 'iris' ELSE 'digits' END,
         CASE WHEN i % 1000 = 1 THEN '{DATASET}' END,
         CASE WHEN i % 50 = 0 THEN 'failed' ELSE 'succeeded' END, 'wake.cpu',
         TIME(i), TIME(i), TIME(i), TIME(i), TIME(i), TIME(i), TIME(i), 1, 1, 0, 5, 1, 1, 1, JSON('{{}}'),
         JSON('{{"best_epoch":1,"best_step":1,"metrics":{{}},"non_finite":[]}}'),
         CASE WHEN i % 50 = 0 THEN JSON('{{"code":"diverged"}}') END
       FROM n""",
    f"""INSERT INTO job_tags (job_id, key, value, project)
       NUMBERS SELECT 'job_' || HEX(i), 'run', 'r' || (i % 500), {_PROJECT} FROM n
       UNION ALL SELECT 'job_' || HEX(i), 'team', 't' || (i % 4), {_PROJECT} FROM n""",
    """INSERT INTO job_specs (job_id, submitted, spec, schema)
       NUMBERS SELECT 'job_' || HEX(i), JSON('{}'), JSON('{}'), JSON('{}') FROM n""",
    """INSERT INTO attempts (job_id, fence, worker, started_at, ended_at, outcome)
       NUMBERS SELECT 'job_' || HEX(i), 1, 'w' || (i % 16), TIME(i), TIME(i), 'succeeded' FROM n""",
    """INSERT INTO job_events (job_id, seq, type, time, data)
       NUMBERS SELECT 'job_' || HEX(i), 1, 'status', TIME(i), JSON('{"status":"succeeded"}') FROM n""",
    f"""INSERT INTO metrics (job_id, seq, epoch, step, time, "values", non_finite)
       NUMBERS SELECT 'job_' || HEX(i), 1, 1, 1, TIME(i), JSON('{{"lr":1.0}}'), JSON('[]') FROM n WHERE i <> {LONG}
       UNION ALL SELECT 'job_' || HEX({LONG}), i, i, i, TIME(i), JSON('{{"lr":1.0}}'), JSON('[]') FROM n
       WHERE i <= {LONG_ROWS}""",
    """INSERT INTO checkpoints (id, job_id, fence, epoch, step, end_of_epoch, content_sha256, content_bytes,
         state_sha256, state_bytes, created_at)
       NUMBERS SELECT 'ckpt_' || HEX(i), 'job_' || HEX(i), 1, 1, 1, true, SHA(i), 10, SHA(i), 10, TIME(i) FROM n""",
)
_NUMBERS = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {JOBS})"
_WORDS = {
    "postgresql": {
        "HEX": r"lpad(to_hex(\1), 32, '0')",
        "SHA": r"lpad(to_hex(\1), 64, '0')",
        "TIME": r"timestamptz '2026-01-01 00:00:00Z' + (\1) * interval '1 second'",
    },
    "sqlite": {
        "HEX": r"printf('%032x', \1)",
        "SHA": r"printf('%064x', \1)",
        "TIME": r"strftime('%Y-%m-%d %H:%M:%f000', 1767225600 + (\1), 'unixepoch')",
    },
}


def job_id(i: int) -> str:
    """The id of the i-th job, from 1 to JOBS; each newer than the one before."""
    return f"job_{i:032x}"


def fill(connection: Connection) -> None:
    """Fills an empty migrated database, and does what an autovacuum would; PostgreSQL needs AUTOCOMMIT for that."""
    postgresql = connection.dialect.name == "postgresql"
    for statement in (*_STATEMENTS, "VACUUM (ANALYZE)" if postgresql else "ANALYZE"):
        text = statement.replace("NUMBERS", _NUMBERS)
        for word, meaning in _WORDS[connection.dialect.name].items():
            text = re.sub(rf"{word}\((\w+)\)", meaning, text)
        text = re.sub(r"JSON(\((?:[^()]|\([^()]*\))*\))", r"CAST(\1 AS json)" if postgresql else r"\1", text)
        connection.exec_driver_sql(text.replace("%", "%%") if postgresql else text)
