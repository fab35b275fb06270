"""Fixtures of the proofs: those of the engine's tests."""

from tests.core.engine.conftest import bench, random

__all__ = ["bench", "random"]
