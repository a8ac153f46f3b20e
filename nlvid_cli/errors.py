"""Everything that nlvid raises on purpose.

::

    NlvidError                      exit status 1
    ├── UsageError                  2   an option, a name or a list file that cannot be right
    │   ├── UnknownName             2   no such model or label; says what was probably meant
    │   └── DataSetError            2   a folder or table of labelled videos that is not as it should be
    ├── VideoError                  1   one video cannot be used; the others go on
    │   ├── VideoNotFound               no such file, or not a regular file
    │   ├── UnreadableVideo             FFmpeg cannot open it, or no frame of it decodes
    │   ├── NoVideoStream               the file opens, but holds no video
    │   ├── ForbiddenFormat             a playlist, script or stream description that points elsewhere
    │   ├── FrameTooLarge               more pixels in a frame than nlvid is willing to decode
    │   ├── RemoteFailure               an address that cannot be read, or only as a whole
    │   ├── DecodeTimeout               decoding took longer than it may
    │   ├── DecoderCrashed              the process that decoded it ended unexpectedly
    │   └── MemoryExceeded              decoding took more memory than it may
    ├── ModelError                  3   a model cannot be had or cannot be used
    │   ├── ModelUnavailable            no source of it could be reached
    │   ├── ChecksumMismatch            a file arrived that is not the published one
    │   ├── UnsafeFile                  a file asks for something that nlvid does not execute
    │   ├── ModelFileError              a model file that is damaged, or of no known format
    │   ├── CheckpointMismatch          weights and network do not fit each other
    │   └── ReferenceMismatch           a model does not compute here what it should
    ├── PublishError                3   a model could not be put on the Hub
    ├── InputShapeError             1   a clip too short or too small for the network
    ├── NumericalError              1   a network's outputs are no numbers
    ├── DeviceError                 3   the device or the precision asked for is not there
    ├── WorkerError                 3   processes that decode do not start, or a cluster cannot be reached
    └── OutputError                 1   results cannot be written

A message is one sentence that says what is wrong, where, and what to do next; it never ends in a traceback
for the user. ``NLVID_DEBUG=1`` shows the traceback all the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import islice


class NlvidError(Exception):
    """Base of all errors that nlvid raises on purpose.

    Attributes:
        exit_status: what the process returns if this error ends it.
    """

    exit_status: int = 1


class UsageError(NlvidError):
    """The command cannot be carried out as it was written."""

    exit_status = 2


class UnknownName(UsageError):
    """A model or a label that nlvid does not know."""


class DataSetError(UsageError):
    """Labelled videos cannot be used as they are written down; says in which file and line."""


def did_you_mean(what: str, name: str, known: Iterable[str], hint: str) -> UnknownName:
    """The error for a ``name`` that is not ``known``, with the nearest ones that are.

    Args:
        what: kind of thing, for example ``model``.
        name: as the user gave it.
        known: all names that would have been right.
        hint: where the user finds them all.
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    near = [by_folded[folded] for folded in difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)]
    guess = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return UnknownName(f"no {what} is called {name!r}{guess} ({hint})")


def shortened(items: Collection[object], most: int, separator: str = ", ") -> str:
    """Join items for a message: the first ``most``, then "and N more" for the rest.

    Args:
        items: Anything with a readable ``str``.
        most: Number of items to show, at least 1.
        separator: Between items.

    Returns:
        For example ``"a, b and 3 more"``.
    """
    more = len(items) - most
    return separator.join(map(str, islice(items, most))) + (f" and {more} more" if more > 0 else "")


class VideoError(NlvidError):
    """One video cannot be used."""


class VideoNotFound(VideoError):
    """The path names nothing, or something that is not a regular file."""


class UnreadableVideo(VideoError):
    """FFmpeg cannot open the file, or not a single frame of it decodes."""


class NoVideoStream(VideoError):
    """The file is media, but without a video stream."""


class ForbiddenFormat(VideoError):
    """The file is a list or a description of other files, which nlvid does not follow."""


class FrameTooLarge(VideoError):
    """A frame has more pixels than the limit that guards against decompression bombs."""


class RemoteFailure(VideoError):
    """An address cannot be read: nothing there, no right to it, no answer, or no ranges of bytes."""


class DecodeTimeout(VideoError):
    """Decoding took longer than its time limit, and was ended."""


class DecoderCrashed(VideoError):
    """The process that decoded the video ended unexpectedly, for example by a signal."""


class MemoryExceeded(VideoError):
    """Decoding took more memory than its limit, and was ended."""


class ModelError(NlvidError):
    """A model cannot be had or cannot be used."""

    exit_status = 3


class ModelUnavailable(ModelError):
    """No source of the model could be reached."""


class ChecksumMismatch(ModelError):
    """A file differs from the one that was published."""


class UnsafeFile(ModelError):
    """A file asks for code or objects that nlvid refuses to load."""


class ModelFileError(ModelError):
    """A model file is damaged, or its format is not known."""


class CheckpointMismatch(ModelError):
    """The tensors of a checkpoint do not fit the network of its card."""


class ReferenceMismatch(ModelError):
    """What a model computes here is not what it computes elsewhere."""


class PublishError(NlvidError):
    """A model could not be put on the Hub."""

    exit_status = 3


class InputShapeError(NlvidError):
    """A clip is too short or too small for the strides of the network."""


class NumericalError(NlvidError):
    """The outputs of a network are not finite numbers."""


class DeviceError(NlvidError):
    """The device or the precision that was asked for is not available here."""

    exit_status = 3


class WorkerError(NlvidError):
    """Processes that decode videos do not start here, or a cluster cannot be reached."""

    exit_status = 3


class OutputError(NlvidError):
    """Results cannot be written where they were asked for."""
