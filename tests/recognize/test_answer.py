from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.errors import UnknownName, UsageError
from nlvid_cli.recognize.answer import Answer, LabelSelector

LABELS = LabelSelector("a-model", ("breaststroke", "Dancing", "swimming", "swimming backstroke"))
SCORES = np.array([0.125, 0.25, 0.125, 0.5], np.float32)


def _reported(answer: Answer) -> list[tuple[str, float]]:
    return [(entry.label, entry.score) for entry in LABELS.best(SCORES, answer)]


def test_best_labels_come_first_and_equal_ones_in_the_order_of_the_model() -> None:
    assert _reported(Answer()) == [
        ("swimming backstroke", 0.5),
        ("Dancing", 0.25),
        ("breaststroke", 0.125),
        ("swimming", 0.125),
    ]
    assert _reported(Answer(top_k=1)) == [("swimming backstroke", 0.5)]
    assert [entry.index for entry in LABELS.best(SCORES, Answer(top_k=None))] == [3, 1, 0, 2]


def test_a_score_equal_to_the_threshold_is_reported() -> None:
    assert _reported(Answer(threshold=0.25)) == [("swimming backstroke", 0.5), ("Dancing", 0.25)]
    assert _reported(Answer(top_k=1, threshold=0.25)) == [("swimming backstroke", 0.5)]
    assert _reported(Answer(threshold=0.75)) == []


def test_a_threshold_lifts_the_default_number_of_labels() -> None:
    assert Answer.of_options(None, None, None, 0.0) == Answer()
    assert Answer.of_options(None, 0.3, ["a*"], 0.5) == Answer(None, 0.3, ("a*",), 0.5)
    assert Answer.of_options(None, 0.0, [], 0.0) == Answer(None)
    assert Answer.of_options(2, 0.3, None, 0.0) == Answer(2, 0.3)


def test_patterns_ignore_case() -> None:
    assert _reported(Answer(labels=("SWIM*",))) == [("swimming backstroke", 0.5), ("swimming", 0.125)]
    assert LABELS.allowed(Answer(labels=("*stroke", "dancing", "d*"))).tolist() == [0, 1, 3]


def test_unsure_considers_only_allowed_labels() -> None:
    assert not LABELS.is_unsure(SCORES, Answer(min_score=0.5))
    assert LABELS.is_unsure(SCORES, Answer(min_score=0.51))
    assert LABELS.is_unsure(SCORES, Answer(min_score=0.5, labels=("dancing",)))


def test_answers_that_the_model_cannot_give() -> None:
    with pytest.raises(UsageError, match="top-k"):
        LABELS.allowed(Answer(top_k=0))
    with pytest.raises(UnknownName, match="did you mean 'swimming'"):
        LABELS.allowed(Answer(labels=("dancing", "swiming")))
