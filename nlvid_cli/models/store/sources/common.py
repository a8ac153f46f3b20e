"""What all kinds of sources share: their result, their failure, and the words for network errors."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from nlvid_cli.models.naming import without_logins


@dataclass(frozen=True)
class Fetched:
    """A file from a source, with the published checksums.

    Attributes:
        path: Path to it.
        disposable: Whether it is in nlvid's cache and is removed after use.
        sha256: sha256 of the file, or of the archive that it came from.
        etag: What the server calls this version of the file. "" if it does not say.
    """

    path: Path
    disposable: bool
    sha256: str
    etag: str = ""


class HostAnswer(NamedTuple):
    """Whether a host answers.

    Attributes:
        host: The host.
        ok: Whether it answers as it should.
        detail: A few words on its answer.
    """

    host: str
    ok: bool
    detail: str


class SourceError(Exception):
    """A source cannot be reached, or does not have the file. The next one is tried.

    Attributes:
        host: The host that was asked.
        reason: Why it failed, in a few words without a full stop.
    """

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"{host}: {reason}")
        self.host = host
        self.reason = reason


def host_of(url: str) -> str:
    """Return host and port of an address, without user name and password. Any text is accepted."""
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return "a malformed address"
    name, _, port = host.rpartition(":")
    # a port that is not a number may be the beginning of a password with a / in it
    return host if not name or port.isdecimal() or host.endswith("]") else name


PERCENT_HINT = "write special characters in a user name or a password as %2F for /, %40 for @ and so on"


def network_reason(error: BaseException) -> str:
    """Say why a request failed, from the chain of causes of any HTTP client's exception."""
    chain = list(causes(error))
    if any("ProxyError" in type(cause).__name__ for cause in chain):
        return "the proxy does not answer or refuses (see HTTPS_PROXY and NO_PROXY)"
    for cause in chain:
        if isinstance(cause, ssl.SSLError):
            return f"its certificate is not accepted ({cause}; REQUESTS_CA_BUNDLE can name the CA file)"
    for kind, words in _NETWORK_ERRORS.items():
        if any(isinstance(cause, kind) for cause in chain):
            return words
    for part_of_name, words in _CLIENT_ERRORS.items():
        if any(part_of_name in type(cause).__name__ for cause in chain):
            return words
    if "CA certificate bundle" in str(error):
        return f"{error} (see REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and PIP_CERT)"
    first_line = without_logins(str(error).strip()).partition("\n")[0]
    return f"{type(error).__name__}: {first_line or 'no details'}"


_NETWORK_ERRORS: dict[type[BaseException], str] = {
    socket.gaierror: "the name cannot be resolved (is there a network?)",
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "the connection was reset",
    BrokenPipeError: "the connection was reset",
    TimeoutError: "no answer in time",
}

_MALFORMED = f"its address or that of a proxy is malformed ({PERCENT_HINT})"
"""Without the client's own words, which may quote a part of the password."""

_CLIENT_ERRORS = {
    "InvalidURL": _MALFORMED,
    "InvalidProxyURL": _MALFORMED,
    "ValueError": _MALFORMED,  # urllib.parse's own
    "Timeout": "no answer in time",
    "IncompleteRead": "the connection ended early",
    "RemoteProtocolError": "the connection ended early",
}
"""Parts of the names of exceptions that HTTP clients raise without an exception of Python behind them."""


def status_reason(status: int, what: str) -> str:
    """Say what an HTTP status other than success means for the user.

    Args:
        status: The status code.
        what: What was asked for.
    """
    words = {
        401: "access needs a login",
        403: "access is forbidden",
        404: "not found",
        410: "no longer available",
    }
    if status in words:
        return f"{what}: {words[status]} (HTTP {status})"
    return f"{what}: the server {'has a problem' if status >= 500 else 'refuses'} (HTTP {status})"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its cause, the cause of that, and so on."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
