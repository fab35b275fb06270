"""Keys and usage: for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.conditional import answer
from api.deps import Admin, Cursor, JsonBody, Limit, OnceDep, PartsDep, Transaction
from api.documents import posts, problems, reads
from api.schemas.keys import CreatedKey, Key, KeyPage, NewKey, ProjectUsage, Usage
from core.db.session import reading
from core.services import keys, usage

router = APIRouter(tags=["administration"])
NEW = reads({"$ref": "#/components/schemas/NewKey"}, {"project": "physics", "scopes": ["read", "write"]})


@router.post("/v1/keys", status_code=201, response_model=CreatedKey, openapi_extra=NEW, responses=posts())
def create_key(who: Admin, body: JsonBody, once: OnceDep, session: Transaction) -> Response:
    """A new key; its secret is in this answer and nowhere else."""
    asked = body.parse(NewKey)
    view, secret = keys.create(session, who, **asked.model_dump())
    told, kept = (CreatedKey(**Key.model_validate(view).model_dump(), key=shown) for shown in (secret, None))
    headers = {"Cache-Control": "no-store"}
    return once.answer(session, answer(told, status=201, headers=headers), kept=answer(kept, status=201))


@router.get("/v1/keys", response_model=KeyPage, responses=problems())
def list_keys(who: Admin, parts: PartsDep, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """All keys without their secrets, newest first."""
    with reading(parts.sessions) as session:
        page = keys.list_keys(session, who, limit=limit, cursor=cursor)
    return answer(KeyPage(data=[Key.model_validate(view) for view in page.data], next_cursor=page.next_cursor))


@router.delete("/v1/keys/{key_id}", status_code=204, response_class=Response, responses=problems(404))
def revoke_key(key_id: Annotated[str, Path(max_length=100)], who: Admin, session: Transaction) -> None:
    """Ends a key at once."""
    keys.revoke(session, who, key_id)


@router.get("/v1/usage", response_model=Usage, responses=problems())
def read_usage(who: Admin, parts: PartsDep) -> Response:
    """Seconds trained and bytes stored, by project."""
    with reading(parts.sessions) as session:
        found = usage.by_project(session, who)
    return answer(Usage(data=[ProjectUsage.model_validate(view) for view in found]))
