"""Files in Hugging Face Hub repositories, by ``huggingface_hub``.

The library itself handles cache (``HF_HOME``), token (``HF_TOKEN``), offline mode (``HF_HUB_OFFLINE``) and endpoint
(``HF_ENDPOINT``). A file in its cache is used without a request, even if another program downloaded it.
"""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session, tqdm  # type: ignore[attr-defined]

from nlvid_cli._version import __version__
from nlvid_cli.card.card import HubSource
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.cache import published_checksums
from nlvid_cli.models.store.checksums import digests_of, require_published
from nlvid_cli.models.store.sources.common import (
    Fetched,
    HostAnswer,
    SourceError,
    host_of,
    network_reason,
    status_reason,
)

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Downloads to start. The library itself resumes a connection that merely ended early."""
BACKOFF_SECONDS = 0.5


def fetch(source: HubSource, progress: Progress) -> Fetched:
    """Return the file in the Hub's cache, downloaded if need be. A wrong file is removed from that cache."""
    published = published_checksums(source)
    cached = cached_file(source)
    if cached is not None and (published or _is_newest(cached, source)):
        digests = digests_of(cached, published)
        if published.fit(digests):
            return Fetched(cached, disposable=False, sha256=digests.sha256)
        log.info("%s of %s in the Hub's cache is not the published file; fetching it again", source.path, source.repo)
        _remove(cached)
    _require_answer(source)
    path = _download(source, progress)
    digests = digests_of(path, published)
    if not published.fit(digests):
        _remove(path)
    require_published(f"{source.path} of {source.repo}", host_of(constants.ENDPOINT), published, digests)
    return Fetched(path, disposable=False, sha256=digests.sha256)


def cached_file(source: HubSource) -> Path | None:
    """Return the file in the Hub's cache, or None if it is not there."""
    cached = try_to_load_from_cache(source.repo, source.path, revision=source.revision)
    return Path(cached) if isinstance(cached, str) else None


def _is_newest(cached: Path, source: HubSource) -> bool:
    """Whether a branch or a tag is still at the commit of the cached file. True if nobody can tell."""
    if re.fullmatch(r"[0-9a-f]{40}", source.revision):
        return True
    commit = cached.parents[len(PurePosixPath(source.path).parts) - 1].name  # snapshots/<commit>/<path>
    url = hf_hub_url(source.repo, source.path, revision=source.revision)
    try:
        return bool(get_hf_file_metadata(url).commit_hash == commit)
    except OfflineModeIsEnabled:
        return True
    except Exception as error:  # the types of its HTTP client differ between versions
        log.info(
            "using %s of %s from the Hub's cache, newest or not (%s)", source.path, source.repo, _reason(error, source)
        )
        return True


def _require_answer(source: HubSource) -> None:
    """Fail within seconds if nobody answers. The download itself would retry for half a minute."""
    url = hf_hub_url(source.repo, source.path, revision=source.revision)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            get_hf_file_metadata(url)
        except HfHubHTTPError:
            return  # even a bad answer is one; the download will report it
        except Exception as error:  # the types of its HTTP client differ between versions
            if attempt == ATTEMPTS or isinstance(error, OfflineModeIsEnabled):
                raise SourceError(host_of(constants.ENDPOINT), _reason(error, source)) from error
        else:
            return


def _download(source: HubSource, progress: Progress) -> Path:
    """Download the file by the library.

    Raises:
        SourceError: Says what the library's exception means for the user.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return Path(
                hf_hub_download(
                    source.repo,
                    source.path,
                    revision=source.revision,
                    library_name="nlvid",
                    library_version=__version__,
                    tqdm_class=_bar_for(progress, PurePosixPath(source.path).name, source.size_bytes),
                )
            )
        except Exception as error:  # its HTTP client and hf_xet raise undocumented types of their own
            if attempt == ATTEMPTS or _is_final(error):
                raise SourceError(host_of(constants.ENDPOINT), _reason(error, source)) from error
            time.sleep(BACKOFF_SECONDS * attempt)
    raise AssertionError("unreachable")


def _is_final(error: Exception) -> bool:
    """Whether another attempt would have the same result."""
    if isinstance(error, HfHubHTTPError) and (error.response.status_code >= 500 or error.response.status_code == 429):
        return False
    return isinstance(error, (HfHubHTTPError, EntryNotFoundError, ValueError, _LargerThanStated))


def _reason(error: BaseException, source: HubSource) -> str:
    """Say what an exception of the library means. The most special types come first."""
    where = f"{source.repo} (revision {source.revision})"
    if isinstance(error, _LargerThanStated):
        return str(error)
    if isinstance(error, GatedRepoError):
        return f"{source.repo} is gated; accept its terms on the Hub and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no repository {source.repo}, or it is private and needs HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"{source.repo} has no revision {source.revision}"
    if isinstance(error, LocalEntryNotFoundError):
        return _reason(error.__cause__, source) if error.__cause__ else network_reason(error)
    if isinstance(error, OfflineModeIsEnabled):
        return f"{source.path} of {where} is not in the Hub's cache, and HF_HUB_OFFLINE forbids fetching it"
    if isinstance(error, EntryNotFoundError):
        return f"{where} has no file {source.path}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        login = "; HF_TOKEN is missing or not accepted" if status == 401 else ""
        return status_reason(status, source.repo) + login
    return network_reason(error)


def _remove(path: Path) -> None:
    """Delete a file from the Hub's cache: the link in ``snapshots`` and the blob that it leads to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


class _LargerThanStated(Exception):
    """The server sends more than the card or itself states, as it can by compressing what it sends."""


def _bar_for(progress: Progress, name: str, most_bytes: int | None = None) -> type[Any]:
    """Make a class of progress bars, as the library requires, that shows nothing and reports to ``progress``.

    It ends a download that becomes larger than ``most_bytes`` or than the server states.

    A download through Xet creates two bars, for bytes received and bytes written. Only the first is reported.
    """
    bars: list[Any] = []

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": True}))  # type: ignore[no-untyped-call]
            self.leads = not bars
            stated = [size for size in (most_bytes, kwargs.get("total")) if size]
            is_http = kwargs.get("name") == "huggingface_hub.http_get"  # Xet counts what crosses the network
            self.most_bytes = min(stated) if stated and is_http else None
            bars.append(self)
            if self.leads:
                progress.start(f"Downloading {name}", kwargs.get("total"))
                progress.advance(int(kwargs.get("initial") or 0))

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if self.most_bytes is not None and self.n > self.most_bytes:  # called before the bytes are written
                raise _LargerThanStated(f"{name}: more than the {self.most_bytes} bytes that are stated arrived")
            if self.leads:
                progress.advance(int(n or 0))
            return None

        def close(self) -> None:
            if self.leads:
                self.leads = False
                progress.finish()
            super().close()

    return Bar


def ask_host(timeout_seconds: float) -> HostAnswer:
    """Ask the Hub's endpoint."""
    host = host_of(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE:
        return HostAnswer(host, False, "not asked, HF_HUB_OFFLINE is set")
    try:
        response = get_session().head(constants.ENDPOINT, timeout=timeout_seconds)
    except Exception as error:  # the types of its HTTP client differ between versions
        return HostAnswer(host, False, network_reason(error))
    return HostAnswer(host, response.status_code < 400, f"answers (HTTP {response.status_code})")
