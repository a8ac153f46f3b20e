"""What the tests of the readers share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that the hostile checkpoints of a test would make."""
    return tmp_path / "canary"
