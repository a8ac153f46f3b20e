"""Everything that nlvid raises on purpose.

::

    NlvidError                      exit status 1
    ├── UsageError                  2   the command is wrong: an option, a name, a list file
    │   ├── UnknownName             2   no such model or label; suggests similar names
    │   └── DataSetError            2   a folder or table of labelled videos is wrong
    │       └── Unlabelled          2   a table lists videos and no labels
    ├── VideoError                  1   one video failed; the others go on
    │   ├── VideoNotFound               no such file, or not a regular file
    │   ├── UnreadableVideo             FFmpeg cannot open the file, or none of its frames decodes
    │   ├── NoVideoStream               the file opens but has no video stream
    │   ├── ForbiddenFormat             a playlist, script or stream description
    │   ├── EncryptedVideo              the pictures are encrypted (DRM)
    │   ├── FrameTooLarge               a frame has more pixels than nlvid decodes
    │   ├── RemoteFailure               an address cannot be read, or not in parts
    │   ├── DecodeTimeout               decoding exceeded its time limit
    │   ├── DecoderCrashed              the decoding process ended unexpectedly
    │   └── MemoryExceeded              decoding exceeded its memory limit, or that of the machine
    ├── ModelError                  3   a model is not available or not usable
    │   ├── ModelUnavailable            no source could be reached
    │   ├── ChecksumMismatch            the downloaded file is not the published one
    │   ├── UnsafeFile                  the file asks for something that nlvid does not execute
    │   ├── ModelFileError              the file is damaged, or its format is unknown
    │   ├── CheckpointMismatch          weights and network do not fit each other
    │   └── ReferenceMismatch           the model does not compute here what it should
    ├── PublishError                3   a model could not be uploaded to the Hub
    ├── InputShapeError             1   a clip is too short or too small for the network
    ├── NumericalError              1   a network produced NaN or infinity
    ├── DeviceError                 3   the requested device or precision is not available
    ├── WorkerError                 3   decoding processes do not start, or a cluster cannot be reached
    ├── ResourceShortage            3   the machine has no memory, thread or open file left
    └── OutputError                 1   results cannot be written

A message is one sentence: what is wrong, where, and what to do next. Users never see a traceback, unless they set
``NLVID_DEBUG=1``.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import islice


class NlvidError(Exception):
    """Base of all errors that nlvid raises on purpose.

    Attributes:
        exit_status: Exit status of the process if this error ends it.
    """

    exit_status: int = 1


class UsageError(NlvidError):
    """The command is wrong as it was written."""

    exit_status = 2


class UnknownName(UsageError):
    """There is no such model or label."""


class DataSetError(UsageError):
    """A folder or table of labelled videos is wrong. The message names file and line."""


class Unlabelled(DataSetError):
    """A table lists videos and no labels, as the test lists of competitions do."""


def did_you_mean(what: str, name: str, known: Iterable[str], hint: str) -> UnknownName:
    """Make the error for an unknown name, with similar names that are known.

    Args:
        what: Kind of thing, for example ``model``.
        name: Name as the user gave it.
        known: All valid names.
        hint: Where the user finds them all.
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
    """One video failed."""


class VideoNotFound(VideoError):
    """The path does not exist, or is not a regular file."""


class UnreadableVideo(VideoError):
    """FFmpeg cannot open the file, or none of its frames decodes."""


class NoVideoStream(VideoError):
    """The file has no video stream."""


class ForbiddenFormat(VideoError):
    """The file points to other files, which nlvid does not open."""


class EncryptedVideo(VideoError):
    """The pictures are encrypted, and nlvid has no key."""


class FrameTooLarge(VideoError):
    """A frame has more pixels than the limit that protects against decompression bombs."""


class RemoteFailure(VideoError):
    """An address cannot be read: not found, not permitted, no answer, or no range requests."""


class DecodeTimeout(VideoError):
    """Decoding exceeded its time limit."""


class DecoderCrashed(VideoError):
    """The decoding process ended unexpectedly, for example by a signal."""


class MemoryExceeded(VideoError):
    """Decoding exceeded its memory limit, or needs more memory than the machine has."""


class ModelError(NlvidError):
    """A model is not available or not usable."""

    exit_status = 3


class ModelUnavailable(ModelError):
    """No source of the model could be reached."""


class ChecksumMismatch(ModelError):
    """A downloaded file is not the published one."""


class UnsafeFile(ModelError):
    """A file asks for code or objects that nlvid refuses to load."""


class ModelFileError(ModelError):
    """A model file is damaged, or its format is unknown."""


class CheckpointMismatch(ModelError):
    """The tensors of a checkpoint do not match the network of its card."""


class ReferenceMismatch(ModelError):
    """A model does not compute here what its reference says."""


class PublishError(NlvidError):
    """A model could not be uploaded to the Hub."""

    exit_status = 3


class InputShapeError(NlvidError):
    """A clip is too short or too small for the network."""


class NumericalError(NlvidError):
    """A network produced NaN or infinity."""


class DeviceError(NlvidError):
    """The requested device or precision is not available."""

    exit_status = 3


class WorkerError(NlvidError):
    """Decoding processes do not start, or a cluster cannot be reached."""

    exit_status = 3


class ResourceShortage(NlvidError):
    """The machine, or a limit of the process, has no memory, thread or open file left."""

    exit_status = 3


class OutputError(NlvidError):
    """Results cannot be written."""
