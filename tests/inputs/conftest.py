from __future__ import annotations

from tests.datasets.conftest import data, make, write

__all__ = ["data", "make", "write"]
