"""From the scores of a video's windows to the segments that show an action.

A window's score speaks for its centre; between two centres scores are interpolated. Of these curves, averaged over
some windows, the labels that once reach ``begin`` have a segment as long as they stay at ``keep`` or above::

    begin  - - - - - - -,-o-.- - - - - - - - - - -
                      ,'     `.            .o.
    keep   - - - - -o'- - - - -`o- - - - .'- -`. -      the second hill stays below begin: no segment
                  .'|           |`.   _o'       `o
                 o  |<-segment->|  `o'

Where labels exclude each other, the best of those that have a segment counts at each time, and the border between two
lies where their curves cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.recognize.timeline import ActionSegment, SegmentRule

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BEGIN = 0.6
"""Default score at which a segment begins: above a half, so that no other label can do so at the same time."""

KEEP = 0.4
"""Default score down to which a segment goes on."""

NOTHING = -1
"""Stands for no label."""

SAME_INSTANT_SECONDS = 1e-6
"""Times of windows are rounded to this."""


def default_rule(window_seconds: float, every_seconds: float | None = None) -> SegmentRule:
    """Return the rule for windows of a length, one every ``every_seconds`` (None: half a window).

    ``docs/timeline.md`` says how its values were chosen.
    """
    return SegmentRule(
        every_seconds=window_seconds / 2 if every_seconds is None else every_seconds,
        smooth_seconds=window_seconds,
        begin=BEGIN,
        keep=KEEP,
        shortest_seconds=window_seconds / 2,
    )


def find_segments(
    scores: NDArray[np.float32],
    start_seconds: Floats,
    end_seconds: Floats,
    labels: Sequence[str],
    kind: Literal["single", "multi"],
    rule: SegmentRule,
    allowed: NDArray[np.int64],
    min_score: float = 0.0,
) -> tuple[ActionSegment, ...]:
    """Find the segments of a video.

    Args:
        scores: (windows, classes) in [0, 1], calibrated.
        start_seconds: (windows,) ascending; start of each window.
        end_seconds: (windows,) ascending; end of each window.
        labels: (classes,) names.
        kind: ``single``: labels exclude each other, and segments do not overlap. ``multi``: each label has segments of
            its own.
        rule: Width of the average, thresholds, shortest segment.
        allowed: Indices of the labels that may have segments.
        min_score: Segments with a lower score are left out.

    Returns:
        Segments by start; of one start, the lower index first. They lie between the start of the first window and the
        end of the last one.
    """
    if not len(scores):
        return ()
    # an average reaches no more than the largest of its scores
    candidates = allowed[scores[:, allowed].max(axis=0) >= rule.begin]
    if not len(candidates):
        return ()
    centres = (start_seconds + end_seconds) / 2
    curves = _averaged(scores[:, candidates], centres, rule.smooth_seconds)
    line = _Line(centres, curves, float(start_seconds[0]), float(end_seconds[-1]), rule)
    active = _active(curves, rule)
    pieces = _exclusive(line, active) if kind == "single" else _each_alone(line, active)
    found = (_segment(piece, int(candidates[piece.label]), scores, labels) for piece in pieces)
    kept = (segment for segment in found if segment.score >= min_score)
    return tuple(sorted(kept, key=lambda segment: (segment.start_seconds, segment.index)))


@dataclass(frozen=True)
class _Piece:
    """A label (a column of the curves) in the windows ``first`` up to, not including, ``stop``, and its time."""

    label: int
    first: int
    stop: int
    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True)
class _Line:
    """Curves of the candidates, (windows, candidates), over the centres of windows, and the time that they cover."""

    centres: Floats
    curves: Floats
    start_seconds: float
    end_seconds: float
    rule: SegmentRule

    def piece(self, label: int, first: int, stop: int, before: int = NOTHING, after: int = NOTHING) -> _Piece:
        """Set the borders of a piece: ``before`` and ``after`` are the labels next to it."""
        start = self.start_seconds if first == 0 else self._border(first - 1, before, label)
        end = self.end_seconds if stop == len(self.centres) else self._border(stop - 1, label, after)
        return _Piece(label, first, stop, start, end)

    def is_too_short(self, piece: _Piece) -> bool:
        """Whether a piece is below the shortest length; one that fills the whole time is not."""
        return piece.seconds < min(self.rule.shortest_seconds, self.end_seconds - self.start_seconds)

    def _border(self, window: int, left: int, right: int) -> float:
        """Time between a window and the next one at which ``right`` overtakes ``left``; nothing stands at ``keep``."""
        ahead, behind = (self._lead(at, left, right) for at in (window, window + 1))
        fall = ahead - behind
        way = float(np.clip(ahead / fall, 0, 1)) if fall > 0 else 0.5
        return float(self.centres[window] + way * (self.centres[window + 1] - self.centres[window]))

    def _lead(self, window: int, left: int, right: int) -> float:
        values = (self.rule.keep if label == NOTHING else self.curves[window, label] for label in (left, right))
        return float(next(values) - next(values))


def _averaged(scores: NDArray[np.float32], centres: Floats, width_seconds: float) -> Floats:
    """Mean of all windows whose centres are at most half of ``width_seconds`` away; at the ends there are fewer."""
    reach = width_seconds / 2 + SAME_INSTANT_SECONDS
    first = np.searchsorted(centres, centres - reach, side="left")
    stop = np.searchsorted(centres, centres + reach, side="right")
    sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, axis=0, dtype=np.float64)])
    means: Floats = (sums[stop] - sums[first]) / (stop - first)[:, None]
    return means


def _active(curves: Floats, rule: SegmentRule) -> Mask:
    """Where each label has a segment if no other label is better: runs at ``keep`` or above that reach ``begin``."""
    active = np.zeros(curves.shape, dtype=bool)
    for label in range(curves.shape[1]):
        for first, stop in _runs(curves[:, label] >= rule.keep):
            active[first:stop, label] = curves[first:stop, label].max() >= rule.begin
    return active


def _runs(mask: Mask) -> list[tuple[int, int]]:
    """Runs of True, each as its first index and the index after it."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _each_alone(line: _Line, active: Mask) -> list[_Piece]:
    pieces = [line.piece(label, *run) for label in range(active.shape[1]) for run in _runs(active[:, label])]
    return [piece for piece in pieces if not line.is_too_short(piece)]


def _exclusive(line: _Line, active: Mask) -> list[_Piece]:
    """Pieces of the best labels. A piece that is too short, shortest first, leaves its windows to the second best."""
    active = active.copy()
    best = _best(line.curves, active)
    while True:
        pieces = _pieces(line, best)
        short = [piece for piece in pieces if line.is_too_short(piece)]
        if not short:
            return pieces
        drop = min(short, key=lambda piece: piece.seconds)
        windows = slice(drop.first, drop.stop)
        active[windows, drop.label] = False
        best[windows] = _best(line.curves[windows], active[windows])


def _best(curves: Floats, active: Mask) -> NDArray[np.int64]:
    """Best active label of each window."""
    best: NDArray[np.int64] = np.where(active, curves, -1.0).argmax(axis=1)
    return np.where(active.any(axis=1), best, NOTHING)


def _pieces(line: _Line, best: NDArray[np.int64]) -> list[_Piece]:
    edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
    names = [NOTHING, *best[edges[:-1]].tolist(), NOTHING]
    return [
        line.piece(names[i + 1], edges[i], edges[i + 1], names[i], names[i + 2])
        for i in range(len(edges) - 1)
        if names[i + 1] != NOTHING
    ]


def _segment(piece: _Piece, index: int, scores: NDArray[np.float32], labels: Sequence[str]) -> ActionSegment:
    score = float(scores[piece.first : piece.stop, index].mean(dtype=np.float64))
    return ActionSegment(round(piece.start_seconds, 6), round(piece.end_seconds, 6), labels[index], index, score)
