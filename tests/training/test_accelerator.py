"""Accelerate, behind its one adapter."""

from __future__ import annotations

from dataclasses import replace

from accelerate.state import AcceleratorState

from nlvid_cli.training.accelerator import make_accelerator
from tests.training.made import QUICK


def test_one_process_trains_in_several_precisions() -> None:
    assert hasattr(AcceleratorState, "_reset_state"), (
        "Accelerate has moved AcceleratorState._reset_state; mend training/accelerator.py"
    )
    found = [make_accelerator("cpu", replace(QUICK, precision=name)).mixed_precision for name in ("bf16", "fp32")]  # type: ignore[arg-type]
    assert found == ["bf16", "no"]


def test_accumulation_is_that_of_the_recipe() -> None:
    counts = [make_accelerator("cpu", replace(QUICK, accumulation=n)).gradient_accumulation_steps for n in (4, 1)]
    assert counts == [4, 1]
