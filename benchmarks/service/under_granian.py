"""The application as granian asks for it, so that servers can be compared: `granian --factory ...:make`."""

from __future__ import annotations

from fastapi import FastAPI

from api.app import create_app
from api.logs import configure
from core.settings import Settings


def make() -> FastAPI:
    """The application with the settings of the environment."""
    settings = Settings.from_env()
    configure(settings.log_level, settings.log_format)
    return create_app(settings)
