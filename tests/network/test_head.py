from __future__ import annotations

import torch

from nlvid_cli.card.architecture import Head
from nlvid_cli.network.head import SCORES, ConvolutionalHead, mean_logits

LOGITS = torch.tensor([[0.0, 2.0], [1.0, -1.0]]).reshape(1, 2, 2, 1, 1)  # 2 classes at 2 positions in time


def test_scores_of_two_positions_by_hand() -> None:
    sigmoid = lambda x: 1 / (1 + torch.exp(-torch.tensor(x)))  # noqa: E731
    torch.testing.assert_close(mean_logits(LOGITS), torch.tensor([[1.0, 0.0]]))
    # softmax of two logits is the sigmoid of their difference
    torch.testing.assert_close(SCORES["softmax_of_mean"](LOGITS)[0, 0], sigmoid(1.0))
    torch.testing.assert_close(SCORES["mean_of_softmax"](LOGITS)[0, 0], (sigmoid(-1.0) + sigmoid(3.0)) / 2)
    torch.testing.assert_close(SCORES["mean_of_sigmoid"](LOGITS)[0, 0], (sigmoid(0.0) + sigmoid(2.0)) / 2)


def test_every_rule_of_the_card_is_there() -> None:
    from typing import get_args, get_type_hints

    assert set(SCORES) == set(get_args(get_type_hints(Head)["scores"]))


def test_head_classifies_at_each_position() -> None:
    head = ConvolutionalHead(4, 3, Head("mean_of_softmax", (2, 2, 2))).eval()
    x = torch.randn(1, 4, 3, 4, 5)
    logits = head(x)
    assert logits.shape == (1, 3, 2, 3, 4)
    pooled = x[:, :, 1:3, 2:4, 3:5].mean(dim=(2, 3, 4))
    weight = head.classifier.weight[:, :, 0, 0, 0]
    torch.testing.assert_close(logits[:, :, 1, 2, 3], pooled @ weight.T + head.classifier.bias)


def test_half_precision_features_are_classified_in_full_precision() -> None:
    head = ConvolutionalHead(4, 3, Head("mean_of_softmax", (1, 2, 2))).eval()
    assert head(torch.randn(1, 4, 1, 2, 2).bfloat16()).dtype == torch.float32
