from __future__ import annotations

import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.training.division import ClipKey, Division


def passes(ranks: int, rank: int, first_step: int = 0, accumulation: int = 2) -> list[list[ClipKey]]:
    return list(Division(10, 3, 4, accumulation, ranks, rank, seed=5).passes(first_step))


def test_each_video_is_seen_in_each_epoch() -> None:
    keys = [key for batch in passes(1, 0) for key in batch]
    assert len(keys) == 3 * 12  # the last step of an epoch starts over
    for epoch in range(3):
        videos = [key.video for key in keys if key.epoch == epoch]
        assert set(videos[:10]) == set(range(10))
        assert videos[10:] == videos[:2]
    assert [key.video for key in keys[:12]] != [key.video for key in keys[12:24]]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_processes_share_every_pass_of_one(accumulation: int) -> None:
    alone = passes(1, 0, accumulation=accumulation)
    first, second = (passes(2, rank, accumulation=accumulation) for rank in (0, 1))
    assert [a + b for a, b in zip(first, second, strict=True)] == alone


def test_a_resumed_run_sees_what_is_left() -> None:
    assert passes(2, 1, first_step=4) == passes(2, 1)[8:]


def test_a_batch_that_does_not_divide_evenly() -> None:
    with pytest.raises(UsageError, match="--batch 8"):
        Division(10, 1, 6, 2, 2, 0, 0)
