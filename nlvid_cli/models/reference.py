"""Whatever a user may name a model by, and what is meant by it.

::

    i3d                                       a name or an alias of the manifest
    runs/mine/model.safetensors               a local file
    hf://owner/repo@revision/path/in/repo     a file on the Hugging Face Hub; without a revision, of ``main``
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

Reference = str | os.PathLike[str]

MODEL_SUFFIXES = (
    ".safetensors", ".pkl", ".pickle", ".pth", ".pyth", ".pt", ".tar", ".ckpt", ".bin", ".npz", ".h5", ".onnx",
)  # fmt: skip
"""What ends in one of these is meant as a file, even where there is none."""

_HUB = re.compile(
    r"hf://(?:models/)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^/@]+))?/(?P<path>[^@]+)"
)


def kind_of(reference: Reference) -> Literal["name", "file", "hub", "url"]:
    """What a user means: the manifest's names go first, and what looks like no path is one of them.

    Raises:
        UsageError: an address of a kind that nlvid does not read, or no address.
    """
    if not isinstance(reference, str):
        return "file"
    scheme = re.match(r"(\w[\w+.-]*)://", reference)
    if scheme is not None:
        if scheme[1].lower() in ("http", "https"):
            _require_address(reference)
            return "url"
        if scheme[1] == "hf":
            return "hub"
        raise UsageError(f"{reference}: nlvid reads models from hf:// and https:// addresses, not {scheme[1]}://")
    if any(separator in reference for separator in (os.sep, os.altsep) if separator):
        return "file"
    if is_known(reference):
        return "name"
    return "file" if reference.lower().endswith(MODEL_SUFFIXES) or os.path.exists(reference) else "name"


def parse_hub_reference(text: str) -> HubSource:
    """``hf://owner/repo[@revision]/path/in/repo`` as a source.

    Raises:
        UsageError: it is not of that form, or a part of it leads elsewhere (``..``).
    """
    match = _HUB.fullmatch(text)
    if match is not None:
        revision, path = unquote(match["revision"] or "main"), unquote(match["path"])
        if all(_is_plain(part) for part in (*match["repo"].split("/"), *revision.split("/"), *path.split("/"))):
            return HubSource("hub", match["repo"], path, revision)
    raise UsageError(
        f"{text}: not a file on the Hub; write hf://owner/repo/path/in/repo or hf://owner/repo@revision/path"
    )


def file_name_of(url: str) -> str:
    """The last part of the path of an address."""
    return PurePosixPath(unquote(urlsplit(url).path)).name or "file"


def without_secrets(url: str) -> str:
    """An address without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _require_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return
    except ValueError:
        pass
    shown = re.sub("//.*@", "//***@", url, flags=re.DOTALL).partition("?")[0]
    raise UsageError(
        f"{shown}: not an address; write https://host/path, special characters of a password as %2F and so on"
    )


def _is_plain(part: str) -> bool:
    """Whether a part of a path is a name and leads nowhere else."""
    return part not in ("", ".", "..") and "\\" not in part and part.isprintable()
