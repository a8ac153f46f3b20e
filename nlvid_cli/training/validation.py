"""Validation during training: that of :mod:`nlvid_cli.evaluation.evaluate`, shared out among the processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from accelerate.utils import gather_object

from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.evaluation.evaluate import Evaluation, score_videos, summarise
from nlvid_cli.recognize.recognizer import Recognizer

FIGURES = {"single": "top1", "multi": "mAP"}
"""What decides which weights are the best, by the kind of the labels."""


def validate(
    card: Card, tensors: Mapping[str, np.ndarray], data: DataSet, device: str, rank: int, ranks: int
) -> Evaluation:
    """Evaluate weights; every process calls this, and every one gets the whole result.

    Args:
        card: of the model; its test protocol counts.
        tensors: its weights.
        data: whose classes are the model's, in the same order.
        device: to run on.
        rank: of this process.
        ranks: number of processes.
    """
    recognizer = Recognizer(card, TorchBackend(card, tensors, device, "auto"))
    shard = replace(data, videos=data.videos[rank::ranks])
    own = list(enumerate(score_videos(shard, recognizer)))
    numbered = [(number * ranks + rank, result) for number, result in own]
    gathered = gather_object(numbered) if ranks > 1 else numbered
    results = [result for _, result in sorted(gathered, key=lambda pair: pair[0])]
    return summarise(results, recognizer, data.source)
