"""Shapes that several answers share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, RootModel

from core.clock import to_rfc3339

Time = Annotated[datetime, PlainSerializer(to_rfc3339, return_type=str)]
"""RFC 3339 in UTC, microseconds, `Z`."""


class Answer(BaseModel):
    """What leaves the house; read from a service's view by its names."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Fault(Answer):
    """One fault in a document or a parameter."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body")
    code: str
    detail: str = Field(description="what was received, what was expected, what to do")


class Problem(Answer):
    """An error (RFC 9457)."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:netmill:error:invalid",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "the spec has 1 fault",
                    "code": "invalid",
                    "request_id": "0193a5f0c0de7000b000000000000000",
                    "errors": [
                        {
                            "pointer": "/optimizer/lr",
                            "code": "greater_than",
                            "detail": "received -1, expected a number above 0; try 0.001",
                        }
                    ],
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="stable, snake case")
    request_id: str | None
    hint: str | None = None
    errors: list[Fault] | None = None


class Document(RootModel[dict[str, Any]]):
    """A document whose shape core.spec or core.data describes."""
