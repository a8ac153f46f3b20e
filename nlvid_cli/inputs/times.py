"""Times and rates as people write them: ``12.5``, ``0:12.5``, ``1:02:03``; ``25``, ``30000/1001``."""

from __future__ import annotations

import re

from nlvid_cli.errors import UsageError

MOST_SECONDS = 1e9
"""Thirty years; a larger number is a date, or a slip."""

TIME_FORMS = "12.5, 0:12.5 or 1:02:03"
"""How times are written, for messages."""

_SECONDS = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)

_CLOCK = re.compile(r"(?:(?:(\d{1,6}):)?(\d{1,2})|(\d{1,8})):(\d{1,2}(?:[.,]\d*)?)", re.ASCII)
"""Hours, minutes and seconds; or any number of minutes, and seconds. Subtitles have a comma before the fraction."""

LEAST_RATE, MOST_RATE = 1e-4, 1e6
"""Frames per second: a picture every three hours, and the fastest cameras."""

_RATE = re.compile(r"(\d{1,12}(?:\.\d*)?|\.\d+)(?:/(\d{1,12}(?:\.\d*)?))?", re.ASCII)


def seconds_of(text: str) -> float | None:
    """Return a time in seconds, up to :data:`MOST_SECONDS`; None if the text is not one.

    Args:
        text: ``12.5``, ``12.5s``, ``0:12.5`` or ``1:02:03``. Only seconds may have a sign, which tables use for "before
            the video".
    """
    text = text.strip().removesuffix("s").rstrip()
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        seconds = float(text) if _SECONDS.fullmatch(text) else None
    else:
        hours, minutes = int(clock[1] or 0), int(clock[2] or clock[3])
        rest = float(clock[4].replace(",", "."))
        seconds = None if rest >= 60 or (clock[1] and minutes >= 60) else hours * 3600 + minutes * 60 + rest
    return seconds if seconds is not None and abs(seconds) <= MOST_SECONDS else None


def parse_time(text: str, option: str) -> float:
    """Return the time that an option names, in seconds from 0 on.

    Args:
        text: What the user wrote.
        option: Name of the option, for the error.

    Raises:
        UsageError: It is not a time, or before the start.
    """
    seconds = seconds_of(text)
    if seconds is None or seconds < 0:
        raise UsageError(f"{option} takes a time from 0 on, such as {TIME_FORMS}, not {text!r}")
    return seconds


def parse_rate(text: str) -> float:
    """Return the frames per second of ``--fps``: a number, or a fraction such as ``30000/1001``.

    Raises:
        UsageError: It is not a rate, or one that no video has.
    """
    match = _RATE.fullmatch(text.strip())
    rate = float(match[1]) / float(match[2] or 1) if match and float(match[2] or 1) else 0.0
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise UsageError(f"--fps takes a number of frames per second, such as 25 or 30000/1001, not {text!r}")
    return rate
