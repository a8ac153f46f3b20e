from __future__ import annotations

import gc

import pytest

from nlvid_cli.system.collector import collector_paused


def test_the_collector_runs_again_afterwards_even_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), collector_paused():
        print(1 / gc.isenabled())
    assert gc.isenabled()
    gc.unfreeze()
