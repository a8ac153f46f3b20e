"""Videos at addresses: ``s3://``, ``gs://``, ``hf://``, ``http(s)://``, through fsspec (extra ``remote``).

FFmpeg sees only a file object, never an address, so that its own network and play list code is not involved. Bytes are
fetched in blocks, as they are needed. Redirects are followed only where :mod:`nlvid_cli.system.addresses` allows. For
the frame times of an MP4 file its index is enough, and the media data is not fetched, see
:mod:`nlvid_cli.video.payload`.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nlvid_cli.errors import RemoteFailure, UnreadableVideo, UsageError, VideoNotFound
from nlvid_cli.system.addresses import RefusedRedirect, first_kind
from nlvid_cli.video.positioned import PositionedFile
from nlvid_cli.video.suffixes import is_video_name

PROTOCOLS = ("s3", "gs", "gcs", "hf", "http", "https")
"""Protocols that are read. Others of fsspec (local files, archives, shells of other hosts) and chains are not."""

BLOCK_BYTES = 1 << 17
"""Bytes to fetch at a time. More would be wasted around each clip; fewer would cost more round trips."""

KEPT_BLOCKS = 128
"""Blocks to keep in memory: 16 MiB."""

VERSION_KEYS = ("ETag", "etag", "blob_id", "md5Hash", "Last-Modified")
"""Names under which servers report a value that changes with the content."""

TRIES = 3
"""Attempts before a missing answer counts as a failure."""

_ADDRESS = re.compile(rf"(?:{'|'.join(PROTOCOLS)})://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RemotePath:
    """The path of a video on another machine, such as ``s3://bucket/a.mp4``; ``str()`` returns its address."""

    address: str

    def __str__(self) -> str:
        return self.address


VideoPath = str | RemotePath
"""Names one video: a local path as the user wrote it, or a remote path. ``str()`` of either is the text for JSON."""


def video_path(text: str | os.PathLike[str] | RemotePath) -> VideoPath:
    """Tell a remote path from a local one. Called where paths enter; everything after asks for the type."""
    if isinstance(text, RemotePath):
        return text
    text = os.fspath(text)
    return RemotePath(text) if _ADDRESS.match(text) else text


def expand_remote(path: RemotePath, pass_over: Callable[[str], None]) -> Iterator[RemotePath]:
    """List the videos that a remote path stands for: itself, those that match its pattern, or those below it.

    Names decide which files are videos, since a look into each of them would be a request.

    Args:
        path: Address of a video or of a folder, or a pattern.
        pass_over: Called with the name of each file that is not a video.

    Raises:
        UsageError: Nothing is there, it cannot be listed, or fsspec is not installed for it.
    """
    address = path.address
    if address.lower().startswith("http"):  # the web has no folders, and ? begins a query there
        yield path
        return
    has_pattern = any(sign in address for sign in "*?[")
    if is_video_name(address) and not has_pattern:
        yield path
        return
    try:
        system, there = _file_system(path)
        found = system.glob(there, detail=True) if has_pattern else system.find(there, detail=True)
    except RemoteFailure as error:
        raise UsageError(f"{address}: {error}") from None
    except Exception as error:  # whatever a library of a cloud raises
        raise UsageError(f"{address}: cannot be listed ({_reason(error)})") from None
    files = sorted(entry for entry, info in found.items() if info.get("type") != "directory")
    if not files:
        raise UsageError(f"{address}: no video there")
    names_one_file = not has_pattern and files == [there]
    for entry in files:
        if names_one_file or is_video_name(entry):
            yield RemotePath(str(system.unstrip_protocol(entry)))
        else:
            pass_over(entry)


def remote_state(path: RemotePath) -> dict[str, Any] | None:
    """Return the size and version of a remote file, as far as the server reports them; None if it does not answer."""
    try:
        system, there = _file_system(path)
        info = system.info(there)
    except Exception:  # it fails again, with a reason, when the video is read
        return None
    version = next((info[key] for key in VERSION_KEYS if info.get(key)), None)
    return {"size_bytes": info.get("size"), "etag": None if version is None else str(version)}


@contextmanager
def open_remote(path: RemotePath) -> Iterator[RemoteFile]:
    """Open a remote file for reading.

    Raises:
        VideoNotFound: There is no file at this address.
        RemoteFailure: It cannot be read.
        UnreadableVideo: It is empty.
    """
    system, there = _file_system(path)
    try:
        size = system.info(there).get("size")
    except Exception as error:
        cause = error.__cause__ or error  # fsspec raises FileNotFoundError for any answer of a web server
        if isinstance(cause, FileNotFoundError) or getattr(cause, "status", None) == 404:
            raise VideoNotFound("no file at this address") from None
        raise RemoteFailure(f"cannot be read ({_reason(cause)})") from None
    if size is None:
        raise RemoteFailure("the server does not report its size, so parts of it cannot be fetched; download it first")
    if size == 0:
        raise UnreadableVideo("empty file (0 bytes)")
    with RemoteFile(system, there, int(size)) as file:
        yield file


class RemoteFile(PositionedFile):
    """A remote file; only the blocks that are needed are fetched.

    Attributes:
        size_bytes: Size of the file.
        fetched_bytes: Bytes fetched so far.
    """

    def __init__(self, system: Any, path: str, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.fetched_bytes = 0
        self._system = system
        self._path = path
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end.

        Raises:
            RemoteFailure: They cannot be fetched.
        """
        end = self.size_bytes if size < 0 else min(self._position + size, self.size_bytes)
        parts = []
        while self._position < end:
            part = self._some(end)
            parts.append(part)
            self._position += len(part)
        return b"".join(parts)

    def _some(self, end: int) -> bytes:
        """Return at least one byte from here on, and none from ``end`` on."""
        number, offset = divmod(self._position, BLOCK_BYTES)
        return self._block(number)[offset : offset + end - self._position]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * BLOCK_BYTES
            end = min(start + BLOCK_BYTES, self.size_bytes)
            data = self._fetch(start, end)
            self.fetched_bytes += len(data)
            if len(data) != end - start:
                what = (
                    "the server does not return parts of a file"
                    if len(data) > end - start
                    else "the file became shorter"
                )
                raise RemoteFailure(f"{what}; download it first")
            self._blocks[number] = data
            if len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetch(self, start: int, end: int) -> bytes:
        for left in reversed(range(TRIES)):
            try:
                data: bytes = self._system.cat_file(self._path, start=start, end=end)
            except Exception as error:
                if not left:
                    raise RemoteFailure(f"cannot be read any further ({_reason(error)})") from None
                time.sleep(0.5 * (TRIES - left))
            else:
                return data
        raise AssertionError


def _file_system(path: RemotePath) -> tuple[Any, str]:
    """The fsspec file system of a path, and what the path is called in it."""
    if "::" in path.address:
        raise RemoteFailure("chains of addresses (::) are not supported")
    try:
        from fsspec.core import url_to_fs

        options: dict[str, Any] = {}
        if path.address.lower().startswith("http"):
            from nlvid_cli.video.web_client import CLIENTS

            options["get_client"] = CLIENTS[first_kind(path.address)]
        system, there = url_to_fs(path.address, **options)
    except ImportError as error:
        raise RemoteFailure(f"needs other packages: pip install 'nlvid-cli[remote]' ({error})") from None
    except ValueError as error:
        raise RemoteFailure(f"not an address ({error})") from None
    return system, there


def _reason(error: BaseException) -> str:
    if isinstance(error, RefusedRedirect):
        return str(error)
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
