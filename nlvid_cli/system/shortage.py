"""Tell that the machine has no memory, thread, process or open file left, from errors that say so in many ways."""

from __future__ import annotations

import errno

HINTS = {
    "memory": "close other programs, or raise the limit (`ulimit -v`, or that of the container)",
    "threads or processes": "raise the limit (`ulimit -u`, or that of the container)",
    "open files": "raise the limit (`ulimit -n`)",
    "room for a file of this size": "raise the limit (`ulimit -f`)",
}
"""What a process can run out of, and what to do then."""

_BY_ERRNO = {
    errno.ENOMEM: "memory",
    errno.EMFILE: "open files",
    errno.ENFILE: "open files",
    errno.EFBIG: "room for a file of this size",
}

_BY_WORDS = {
    "can't start new thread": "threads or processes",  # threading
    "resource temporarily unavailable": "threads or processes",  # C++ threads, as ONNX Runtime reports them
    "failed to map segment": "memory",  # the loader of shared libraries
    "cannot allocate memory": "memory",
    "can't allocate memory": "memory",  # torch on a processor
    "bad_alloc": "memory",
    "bad allocation": "memory",
}


def shortage(error: BaseException) -> str | None:
    """Return a sentence on what the machine has no more of and what to do, or None if the error is about other things.

    Args:
        error: Any error. Its first line is quoted.
    """
    lack = _lack(error)
    if lack is None:
        return None
    said = str(error).strip().partition("\n")[0]
    return f"not enough {lack}{f' ({said})' if said else ''}; {HINTS[lack]}"


def _lack(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, BlockingIOError):  # EAGAIN, which fork reports
        return "threads or processes"
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    if isinstance(error, (OSError, ImportError, RuntimeError)):
        said = str(error).lower()
        return next((lack for words, lack in _BY_WORDS.items() if words in said), None)
    return None
