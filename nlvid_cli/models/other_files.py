"""Files that lie where a model should: pointers, web pages, archives. Their first bytes tell them."""

from __future__ import annotations

import re
from pathlib import Path

from nlvid_cli.errors import ModelFileError

_UNPACK = "unpack it, and name the checkpoint in it"

_SIGNS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\Z"), "empty; download it again"),
    (
        re.compile(rb"version https://git-lfs\.|version https://hawser\."),
        "a Git LFS pointer, not the model itself; run `git lfs pull` in its repository, or download the file from the "
        "page of the repository",
    ),
    (
        re.compile(
            rb"(?i)(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype|html|head|body|\?xml|error|title|script)\b", re.DOTALL
        ),
        "a web page, not a model: the server sent a page under this name, such as a warning, a login or an error; open "
        "the address in a browser, and download the file itself",
    ),
    (re.compile(rb"\s*(\{\s*\"|\[\s*[\[{\"\d])(?!.*[^\t\n\r -\xff])", re.DOTALL), "a JSON text, not a model"),
    (
        re.compile(rb"(?i)(\d{3}:? )?(not found|access denied|forbidden|unauthorized|too many requests)\b"),
        "the message of a server, not a model; look at its address in a browser, and download the file itself",
    ),
    (
        re.compile(rb"\x1f\x8b\x08|BZh\d1AY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!"),
        f"a compressed archive; {_UNPACK}",
    ),
    (re.compile(rb".{257}ustar", re.DOTALL), f"a tar archive; {_UNPACK}"),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), "an HDF5 file, as Keras and MATLAB write them; nlvid reads none of them"),
)
"""First bytes of such files, and what a message says of them."""

START_BYTES = 512
"""Bytes of a file that tell what it is."""


def require_model_file(path: Path, shown: str) -> None:
    """Raise ModelFileError if a file is a pointer, a web page, an archive or empty, and say what to do.

    Args:
        path: A readable file.
        shown: What messages call it.
    """
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    for sign, words in _SIGNS:
        if sign.match(start):
            raise ModelFileError(f"{shown}: {words}")
