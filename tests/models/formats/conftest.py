"""Fixtures of the tests of readers."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Path of a file that hostile checkpoints try to create."""
    return tmp_path / "canary"
