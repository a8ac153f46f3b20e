"""Figures of a run: on training clips while the network learns, and on validation videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet, Kind
from nlvid_cli.evaluation import metrics
from nlvid_cli.evaluation.evaluate import Evaluation, average_precisions, score_videos, summarise
from nlvid_cli.recognize.recognizer import Recognizer

FIGURES: dict[Kind, str] = {"single": "top1", "multi": "mAP"}
"""Figure that decides which epoch is best."""


class TrainFigure:
    """Top-1 accuracy, or mAP for videos with several labels, of the training clips of all processes.

    Each clip counts with the outputs that the network gave while it learnt from the clip.

    Args:
        label_kind: ``single`` or ``multi``.
        classes: Names of the classes.
    """

    def __init__(self, label_kind: Kind, classes: Sequence[str]) -> None:
        self._label_kind, self._classes = label_kind, classes
        self._parts: list[dict[str, Tensor]] = []

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Count the clips of a forward pass: logits and targets, both (N, classes)."""
        # stays on the device: to look at a value, a GPU would have to finish its work first
        if self._label_kind == "single":
            self._parts.append({"right": logits.argmax(dim=1) == targets.argmax(dim=1)})
        else:
            self._parts.append({"scores": logits.detach().sigmoid(), "relevant": targets >= 0.5})

    def take(self) -> float:
        """Return the figure in [0, 1], NaN if no clip has a label, and start again. Every process must call this."""
        counted = self.state()
        self._parts = []
        if not counted:
            return float("nan")
        if self._label_kind == "single":
            return float(counted["right"].double().mean())
        precisions = average_precisions(counted["scores"].numpy(), counted["relevant"].numpy(), self._classes)
        return metrics.mean_over_classes(precisions)

    def state(self) -> dict[str, Tensor]:
        """Return what all processes have counted. Every process must call this."""
        return _joined(gather_object([_joined(self._parts)]))

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a :meth:`state`. Only one process must call this, since the state is that of all."""
        self._parts = [dict(state)]


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    counted = [part for part in parts if part]  # a process, or a run that just validated, may have counted nothing
    names = counted[0] if counted else ()
    return {name: torch.cat([part[name].cpu() for part in counted]) for name in names}


def known_figures(evaluation: Evaluation) -> dict[str, float]:
    """Return the figures of an evaluation that are known."""
    return {name: value for name, value in evaluation.figures.items() if not math.isnan(value)}


def validate(card: Card, tensors: Mapping[str, np.ndarray], data: DataSet, accelerator: Accelerator) -> Evaluation:
    """Evaluate weights as ``nlvid evaluate`` does. Every process calls this, and each gets the whole result.

    Args:
        card: Card of the model, with its test protocol.
        tensors: Weights of the model by name.
        data: Videos whose classes are those of the model, in the same order.
        accelerator: Its processes share the videos.
    """
    rank, ranks = accelerator.process_index, accelerator.num_processes
    recognizer = Recognizer(card, TorchBackend(card, tensors, str(accelerator.device), "auto"))
    shard = replace(data, videos=data.videos[rank::ranks])
    own = [(number * ranks + rank, result) for number, result in enumerate(score_videos(shard, recognizer))]
    results = [result for _, result in sorted(gather_object(own), key=lambda pair: pair[0])]
    return summarise(results, recognizer, data.source)
