"""What is told of the scores of a video: which labels, how many, and when the answer is "unsure"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.errors import UsageError, did_you_mean
from nlvid_cli.recognize.prediction import LabelScore

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """What is told of the scores.

    Attributes:
        top_k: number of labels at most, of the video and of each clip; None: all.
        threshold: labels that score less are not told, even if none is left.
        labels: shell patterns; only labels that match one of them (in any case) are told. None: all.
        min_score: if the best label scores less, the answer is "unsure".
    """

    top_k: int | None = 5
    threshold: float = 0.0
    labels: tuple[str, ...] | None = None
    min_score: float = 0.0

    @classmethod
    def of_options(
        cls, top_k: int | None, threshold: float | None, labels: Sequence[str] | None, min_score: float
    ) -> Answer:
        """From options that may be left out: five labels, or where there is a threshold all that reach it."""
        if top_k is None and threshold is None:
            top_k = cls.top_k
        return cls(top_k, threshold or 0.0, tuple(labels) if labels else None, min_score)


class Labels:
    """The labels of a model, in the order of its scores.

    Args:
        model: its name, for messages.
        names: of the labels.
    """

    def __init__(self, model: str, names: Sequence[str]) -> None:
        self._model = model
        self._names = names

    def chosen(self, answer: Answer) -> NDArray[np.int64]:
        """Indices of the labels that may be told, ascending.

        Raises:
            UsageError: if this model cannot give such an answer.
            UnknownName: if a pattern matches no label.
        """
        if answer.top_k is not None and answer.top_k < 1:
            raise UsageError(f"top-k must be at least 1, not {answer.top_k}")
        if answer.labels is None:
            return np.arange(len(self._names))
        names = [name.casefold() for name in self._names]
        chosen: set[int] = set()
        for pattern in answer.labels:
            found = [i for i, name in enumerate(names) if fnmatchcase(name, pattern.casefold())]
            if not found:
                raise did_you_mean("label", pattern, self._names, f"`nlvid models labels {self._model}` lists them")
            chosen.update(found)
        return np.array(sorted(chosen), dtype=np.int64)

    def best(self, scores: Scores, answer: Answer) -> tuple[LabelScore, ...]:
        """What is told of scores (classes,), the best first; of equal ones, the first."""
        among = self.chosen(answer)
        order = among[np.argsort(-scores[among], kind="stable")[: answer.top_k]]
        return tuple(
            LabelScore(self._names[i], int(i), float(scores[i])) for i in order if scores[i] >= answer.threshold
        )

    def is_unsure(self, scores: Scores, answer: Answer) -> bool:
        """Whether no label that may be told scores at least ``min_score``."""
        return bool(scores[self.chosen(answer)].max() < answer.min_score)
