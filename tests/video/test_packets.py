"""Packets to the end of a file, or to its damage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from nlvid_cli.video.container import open_video
from nlvid_cli.video.packets import MOST_TRIES, PacketReader, decode, is_last
from tests.clips import late_sound, make_clip


class Failing:
    """A container whose demuxer raises an error after some packets, as often as it is asked."""

    def __init__(self, container: Any, packets: int, error: Exception) -> None:
        self._container, self._packets, self._error = container, packets, error
        self.asked = 0

    def demux(self, stream: Any) -> Iterator[Any]:
        self.asked += 1
        for number, packet in enumerate(self._container.demux(stream)):
            if number == self._packets:
                raise self._error
            yield packet


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=20)


def test_the_last_packet_returns_what_the_decoder_holds_back(clip: Path) -> None:
    with open_video(clip) as (container, stream):
        packets = list(PacketReader(container, stream))
        assert [is_last(packet) for packet in packets] == [False] * 20 + [True]
        assert sum(len(decode(packet) or []) for packet in packets) == 20


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (av.error.InvalidDataError(1, "Invalid data"), "invalid data"),
        (av.error.PatchWelcomeError(1, "Not yet implemented"), "not yet implemented"),
        (av.error.PermissionError(1, "Operation not permitted"), "operation not permitted"),
        (av.error.EOFError(1, "End of file"), "end of file"),
        (MemoryError(), "out of memory"),
        (IndexError("list index out of range"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_demuxer_is_the_end(clip: Path, error: Exception, reason: str | None) -> None:
    with open_video(clip) as (container, stream):
        reader = PacketReader(Failing(container, 12, error), stream)  # type: ignore[arg-type]
        assert sum(len(decode(packet) or []) for packet in reader) == 12
        assert reader.broken == reason


def test_errors_of_others_are_not_swallowed(clip: Path) -> None:
    with open_video(clip) as (container, stream), pytest.raises(ZeroDivisionError):
        list(PacketReader(Failing(container, 3, ZeroDivisionError()), stream))  # type: ignore[arg-type]


def test_a_demuxer_that_asks_to_try_again_is_asked_again(clip: Path) -> None:
    with open_video(clip) as (container, stream):
        busy = Failing(container, 3, av.error.BlockingIOError(11, "Resource temporarily unavailable"))
        packets = list(PacketReader(busy, stream))  # type: ignore[arg-type]
        assert busy.asked < MOST_TRIES
        assert [packet.size > 0 for packet in packets] == [True] * 15 + [False]  # each error eats a packet here


def test_streams_that_appear_late_do_not_end_the_video(tmp_path: Path) -> None:
    """In FLV the first packet of a stream announces it; here that is at the end, and the header does not list it."""
    clip = late_sound(tmp_path / "clip.flv", frames=400)
    with open_video(clip) as (container, stream):
        assert len(container.streams) == 1
        reader = PacketReader(container, stream)
        assert sum(len(decode(packet) or []) for packet in reader) == 400
        assert len(container.streams) == 1
        assert reader.broken is None
