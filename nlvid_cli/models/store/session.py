"""Sessions of ``requests``: with retries, the proxies and certificates of the user, and a guard for redirects."""

from __future__ import annotations

import os
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url, select_proxy
from urllib3.util.retry import Retry

from nlvid_cli._version import __version__
from nlvid_cli.models.store.sources.common import SourceError, host_of
from nlvid_cli.system.addresses import RefusedRedirect, first_kind, require_redirect

RETRY_STATUS = (429, 500, 502, 503, 504)
MAX_REDIRECTS = 10
BACKOFF_SECONDS = 0.5


class GuardedSession(requests.Session):
    """A session that follows redirects only to where :mod:`nlvid_cli.system.addresses` allows."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = MAX_REDIRECTS
        self._first = self._before = ""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request. Called for every hop of a chain of redirections; ``allow_redirects`` is on for the first."""
        url = str(request.url)
        resolve = select_proxy(url, kwargs.get("proxies")) is None
        if kwargs.get("allow_redirects", True):
            self._first = url
        else:
            try:
                require_redirect(first_kind(self._first, resolve), self._before, url, resolve)
            except RefusedRedirect as error:
                raise SourceError(host_of(self._first), str(error)) from error
        self._before = url
        return super().send(request, **kwargs)


class HttpsSession(GuardedSession):
    """A session that uses plain http for this machine only, in redirections too."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request. Called for every hop of a chain of redirections."""
        url = str(request.url)
        is_local = host_of(url).partition(":")[0] in ("127.0.0.1", "localhost")
        if not is_local and not url.startswith("https://"):
            raise SourceError(host_of(url), "plain http is not used for model files; give an https address")
        return super().send(request, **kwargs)


def new_session(retries: bool = True, kind: type[GuardedSession] = GuardedSession) -> requests.Session:
    """Make a session. With ``retries``, it asks again a few times after a failure.

    Proxies and certificates are those of requests' own environment variables. ``PIP_CERT`` names the CA file if neither
    ``REQUESTS_CA_BUNDLE`` nor ``CURL_CA_BUNDLE`` does.
    """
    retry = Retry(
        total=3,
        connect=1,
        read=2,
        status_forcelist=RETRY_STATUS,
        backoff_factor=BACKOFF_SECONDS,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    session = kind()
    session.headers["User-Agent"] = f"nlvid/{__version__}"
    session.verify = os.environ.get("PIP_CERT") or True
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry if retries else 0))
    return session


def credentials_in(url: str) -> tuple[str, str] | None:
    """Return user name and password of an address such as ``https://me:secret@host/``, or None."""
    user, password = get_auth_from_url(url)
    return (user, password) if user or password else None
