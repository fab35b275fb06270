"""Whether anything was committed since one last looked, without a look at any table."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine


class Commits:
    """A number that is another one after each commit, by whatever process; for one thread.

    SQLite keeps it in memory that its processes share: to read it takes microseconds, waits for nobody and reads no
    file. PostgreSQL has no such number.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # its number tells of the commits of all connections but this one, so nothing else may use it
        self._connection: sqlite3.Connection | None = None

    def count(self) -> int | None:
        """The number now; None where there is none, or none at this moment."""
        if self._engine.dialect.name != "sqlite":
            return None
        try:
            if self._connection is None:
                self._connection = self._connect()
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.OperationalError:
            return None

    def _connect(self) -> sqlite3.Connection:
        pooled = self._engine.raw_connection()
        pooled.detach()
        connection = pooled.dbapi_connection
        assert isinstance(connection, sqlite3.Connection)
        connection.execute("PRAGMA busy_timeout=0")
        return connection

    def close(self) -> None:
        """Gives its connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
