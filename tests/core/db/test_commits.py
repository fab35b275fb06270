"""Whether anything was committed, as told without a look at a table."""

from __future__ import annotations

from sqlalchemy import Engine, select

from core.db.commits import Commits
from core.db.session import Sessions, make_engine, make_sessions, now, reading, transaction
from core.db.tables import Project


def add(sessions: Sessions, name: str) -> None:
    with transaction(sessions) as session:
        session.add(Project(name=name, created_at=now(session), seconds_trained=0.0))


def test_a_commit_of_any_connection_is_counted_and_nothing_else_is(sessions: Sessions) -> None:
    engine = sessions.kw["bind"]
    assert isinstance(engine, Engine)
    commits = Commits(engine)
    if engine.dialect.name != "sqlite":
        assert commits.count() is None
        return
    before = commits.count()
    with reading(sessions) as session:
        session.scalars(select(Project.name)).all()
    with sessions() as session:
        session.add(Project(name="undone", created_at=now(session), seconds_trained=0.0))
        session.flush()
        session.rollback()
    assert commits.count() == before
    add(sessions, "mine")
    mine = commits.count()
    assert mine != before
    # as another process would
    other = make_engine(engine.url.render_as_string(hide_password=False))
    add(make_sessions(other), "another's")
    other.dispose()
    assert commits.count() not in (before, mine)
    commits.close()


def test_it_waits_for_nobody_who_writes(sessions: Sessions) -> None:
    engine = sessions.kw["bind"]
    commits = Commits(engine)
    before = commits.count()
    with transaction(sessions) as session:
        session.add(Project(name="on its way", created_at=now(session), seconds_trained=0.0))
        session.flush()
        assert commits.count() == before
    assert (commits.count() != before) == (engine.dialect.name == "sqlite")
    commits.close()
