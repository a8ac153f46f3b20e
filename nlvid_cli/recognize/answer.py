"""From the scores of a video to the labels to report: which ones, how many, and whether the answer is unsure."""

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
    """Labels to report.

    Attributes:
        top_k: Largest number of labels, for the video and for each clip; None: all.
        threshold: Lowest score to report, even if no label is left.
        labels: Shell patterns; only labels that match one of them, in upper or lower case, are reported. None: all.
        min_score: If the best label scores less, the answer is "unsure".
    """

    top_k: int | None = 5
    threshold: float = 0.0
    labels: tuple[str, ...] | None = None
    min_score: float = 0.0

    @classmethod
    def of_options(
        cls, top_k: int | None, threshold: float | None, labels: Sequence[str] | None, min_score: float
    ) -> Answer:
        """Build it from options that may be missing: five labels by default, or all that reach a given threshold."""
        if top_k is None and threshold is None:
            top_k = cls.top_k
        return cls(top_k, threshold or 0.0, tuple(labels) if labels else None, min_score)


class LabelSelector:
    """Selects labels of a model by their scores.

    Args:
        model: Name of the model, for messages.
        names: Its labels, in the order of its scores.
    """

    def __init__(self, model: str, names: Sequence[str]) -> None:
        self._model = model
        self._names = names

    def allowed(self, answer: Answer) -> NDArray[np.int64]:
        """Return the indices of the labels that the answer may contain, ascending.

        Raises:
            UsageError: The model cannot give such an answer.
            UnknownName: A pattern matches no label.
        """
        if answer.top_k is not None and answer.top_k < 1:
            raise UsageError(f"top-k must be at least 1, not {answer.top_k}")
        if answer.labels is None:
            return np.arange(len(self._names))
        names = [name.casefold() for name in self._names]
        allowed: set[int] = set()
        for pattern in answer.labels:
            found = [i for i, name in enumerate(names) if fnmatchcase(name, pattern.casefold())]
            if not found:
                raise did_you_mean("label", pattern, self._names, f"`nlvid models labels {self._model}` lists them")
            allowed.update(found)
        return np.array(sorted(allowed), dtype=np.int64)

    def best(self, scores: Scores, answer: Answer) -> tuple[LabelScore, ...]:
        """Return the labels to report for scores (classes,), best first; of equal scores, the lower index first."""
        allowed = self.allowed(answer)
        order = allowed[np.argsort(-scores[allowed], kind="stable")[: answer.top_k]]
        return tuple(
            LabelScore(self._names[i], int(i), float(scores[i])) for i in order if scores[i] >= answer.threshold
        )

    def is_unsure(self, scores: Scores, answer: Answer) -> bool:
        """Whether every allowed label scores less than ``min_score``."""
        return bool(scores[self.allowed(answer)].max() < answer.min_score)
