"""Inserts that do not mind a row which is already there; the same words on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from core.db.tables import Base


def insert_new(session: Session, table: type[Base], row: dict[str, Any]) -> bool:
    """True when the row is new; waits for a transaction under way that inserts or deletes one of the same key."""
    return bool(insert_those_new(session, table, [row]))


def insert_those_new(session: Session, table: type[Base], rows: list[dict[str, Any]]) -> set[Any]:
    """As `insert_new` for several rows, in their order; the primary keys of those that are new: a key of several
    columns is a tuple."""
    if not rows:
        return set()
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    keys = _table(table).primary_key.columns
    found = session.execute(insert(_table(table)).on_conflict_do_nothing().returning(*keys), rows)
    return {row[0] if len(keys) == 1 else tuple(row) for row in found}


def upsert(session: Session, table: type[Base], row: dict[str, Any], *, update: tuple[str, ...]) -> None:
    """Inserts the row, or sets the columns `update` of the one with its primary key."""
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    keys = list(_table(table).primary_key.columns)
    statement = insert(_table(table)).values(row)
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_={name: row[name] for name in update}))


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table
