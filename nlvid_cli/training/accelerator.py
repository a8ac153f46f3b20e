"""Hugging Face Accelerate: device, precision, and processes of a run."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from nlvid_cli.backends.torch_backend import choose_device, choose_precision
from nlvid_cli.system.processors import limit_torch_threads
from nlvid_cli.training.recipe import Recipe


def make_accelerator(device: str, recipe: Recipe) -> Accelerator:
    """Return an accelerator for one run.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, or ``mps``.
        recipe: Its precision and accumulation are used.

    Raises:
        DeviceError: The device is not available.
    """
    chosen = choose_device(device)
    limit_torch_threads()
    if chosen.type == "cuda" and "LOCAL_RANK" not in os.environ:
        torch.cuda.set_device(chosen)
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if choose_precision(chosen, "auto") == "bf16" else "fp32"
    _forget_earlier_runs()
    return Accelerator(
        cpu=chosen.type == "cpu",
        mixed_precision="bf16" if precision == "bf16" else "no",
        gradient_accumulation_steps=recipe.accumulation,
    )


def _forget_earlier_runs() -> None:
    """Let the next accelerator have another device or precision than the last one of this process.

    Accelerate keeps both in a process-wide singleton, and refuses a second accelerator that differs. It has no public
    way to reset the singleton; transformers' Trainer calls this method, too.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
