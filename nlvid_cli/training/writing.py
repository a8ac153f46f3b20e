"""What happens where a file of a run cannot be written, as on a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nlvid_cli.errors import OutputError

STATE_FILE = "state.pt"
"""Name of the file with the state in the folder of a run."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell of a file in the folder of a run that cannot be written, and of what is kept.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        state = path.parent / STATE_FILE
        kept = f"; {state} is kept as it was saved last: --resume goes on from there" if state.is_file() else ""
        reason = error.strerror or str(error).removeprefix(f"{path}: ")
        raise OutputError(f"{path}: cannot be written ({reason}){kept}") from error
