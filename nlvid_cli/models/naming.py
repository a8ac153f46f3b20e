"""What a user means by the words that name a model.

::

    i3d                                       a name or an alias in the manifest
    runs/mine/model.safetensors               a local file
    hf://owner/repo@revision/path/in/repo     a file on the Hugging Face Hub; the default revision is `main`
    https://host/path                         an address
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from nlvid_cli.card.card import HubSource
from nlvid_cli.card.manifest import is_known
from nlvid_cli.errors import UsageError

NameOrPath = str | os.PathLike[str]
"""What names a model, as the user gave it. A path object always means a local file."""

MODEL_SUFFIXES = (
    ".safetensors", ".pkl", ".pickle", ".pth", ".pyth", ".pt", ".tar", ".ckpt", ".bin", ".npz", ".h5", ".onnx",
)  # fmt: skip
"""A name with one of these endings means a file, even if there is no such file."""

_HUB = re.compile(
    r"hf://(?:models/)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^/@]+))?/(?P<path>[^@]+)"
)
_SCHEME = r"\b[a-z][a-z0-9+.-]*://"


def kind_of(name_or_path: NameOrPath) -> Literal["name", "file", "hub", "url"]:
    """Decide what a model is named by.

    Names in the manifest come first. Anything else that does not look like a path is taken for a (misspelt) name.

    Raises:
        UsageError: The address has an unknown scheme or is malformed.
    """
    if not isinstance(name_or_path, str):
        return "file"
    scheme = re.match(r"(\w[\w+.-]*)://", name_or_path)
    if scheme is not None:
        if scheme[1].lower() in ("http", "https"):
            _require_address(name_or_path)
            return "url"
        if scheme[1] == "hf":
            return "hub"
        raise UsageError(f"{name_or_path}: nlvid reads models from hf:// and https:// addresses, not {scheme[1]}://")
    if any(separator in name_or_path for separator in (os.sep, os.altsep) if separator):
        return "file"
    if is_known(name_or_path):
        return "name"
    return "file" if name_or_path.lower().endswith(MODEL_SUFFIXES) or os.path.exists(name_or_path) else "name"


def hub_source(address: str) -> HubSource:
    """Parse ``hf://owner/repo[@revision]/path/in/repo``.

    Raises:
        UsageError: The address has another form, or a part of it leads out of the repository (``..``).
    """
    match = _HUB.fullmatch(address)
    if match is not None:
        revision, path = unquote(match["revision"] or "main"), unquote(match["path"])
        if all(_is_plain(part) for part in (*match["repo"].split("/"), *revision.split("/"), *path.split("/"))):
            return HubSource("hub", match["repo"], path, revision)
    raise UsageError(
        f"{address}: not a file on the Hub; write hf://owner/repo/path/in/repo or hf://owner/repo@revision/path"
    )


def file_name_of(url: str) -> str:
    """Return the last part of the path of an address, or ``file`` if the path is empty."""
    return PurePosixPath(unquote(urlsplit(url).path)).name or "file"


def without_secrets(url: str) -> str:
    """Return a well-formed address without user name, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def without_logins(text: str) -> str:
    """Mask the user names and passwords of all addresses in a text, whatever characters a password contains."""
    return re.sub(rf"(?is)({_SCHEME})?((?!{_SCHEME}).)*@", r"\1***@", text)


def _require_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return
    except ValueError:  # an open bracket in the host, or a port that is not a number
        pass
    shown = re.sub("//.*@", "//***@", url, flags=re.DOTALL).partition("?")[0]
    raise UsageError(
        f"{shown}: not a valid address; write https://host/path, with special characters of a password as %2F and so on"
    )


def _is_plain(part: str) -> bool:
    """Whether a part of a path is an ordinary name, which cannot lead anywhere else."""
    return part not in ("", ".", "..") and "\\" not in part and part.isprintable()
