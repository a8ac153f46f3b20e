"""Files in Hugging Face Hub repositories; the one place that owns ``huggingface_hub``.

Cache (``HF_HOME``), token (``HF_TOKEN``), offline mode (``HF_HUB_OFFLINE``) and endpoint (``HF_ENDPOINT``)
are the library's own affair. A file that is in its cache is used without a request, whoever brought it there.
"""

from __future__ import annotations

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
from nlvid_cli.models.store.cache import published_sums
from nlvid_cli.models.store.checksums import require_published, sums_of
from nlvid_cli.models.store.progress import Progress
from nlvid_cli.models.store.sources.common import (
    Job,
    Obtained,
    SourceError,
    host_of,
    network_reason,
    status_reason,
)

ATTEMPTS = 3
"""Downloads to start; the library itself goes on after a connection that merely ended early."""
BACKOFF_SECONDS = 0.5


def obtain(source: HubSource, job: Job) -> Obtained:
    """The file in the Hub's cache, downloaded if need be; a wrong one is removed from that cache."""
    published = published_sums(source)
    cached = cached_file(source)
    if cached is not None and (published or _is_newest(cached, source, job)):
        sums = sums_of(cached, published)
        if sums.fit(published):
            return Obtained(cached, disposable=False, sha256=sums.sha256)
        job.note(f"{source.path} of {source.repo} in the Hub's cache is not the published file; fetching it again")
        _remove(cached)
    _require_answer(source)
    path = _download(source, job.progress)
    sums = sums_of(path, published)
    if not sums.fit(published):
        _remove(path)
    require_published(f"{source.path} of {source.repo}", host_of(constants.ENDPOINT), published, sums)
    return Obtained(path, disposable=False, sha256=sums.sha256)


def cached_file(source: HubSource) -> Path | None:
    """The file in the Hub's cache, if it is there."""
    cached = try_to_load_from_cache(source.repo, source.path, revision=source.revision)
    return Path(cached) if isinstance(cached, str) else None


def _is_newest(cached: Path, source: HubSource, job: Job) -> bool:
    """Whether a branch or a tag still stands where it stood when the file came; where nobody can tell, it does."""
    if re.fullmatch(r"[0-9a-f]{40}", source.revision):
        return True
    commit = cached.parents[len(PurePosixPath(source.path).parts) - 1].name  # snapshots/<commit>/<path>
    url = hf_hub_url(source.repo, source.path, revision=source.revision)
    try:
        return bool(get_hf_file_metadata(url).commit_hash == commit)
    except OfflineModeIsEnabled:
        return True
    except Exception as error:  # the types of its HTTP client differ between versions
        job.note(f"using {source.path} of {source.repo} from the Hub's cache, newer or not ({_reason(error, source)})")
        return True


def _require_answer(source: HubSource) -> None:
    """Fail within seconds where nobody answers; the download itself would go on trying for half a minute."""
    url = hf_hub_url(source.repo, source.path, revision=source.revision)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            get_hf_file_metadata(url)
        except HfHubHTTPError:
            return  # an answer, be it a bad one; the download will tell
        except Exception as error:  # the types of its HTTP client differ between versions
            if attempt == ATTEMPTS or isinstance(error, OfflineModeIsEnabled):
                raise SourceError(host_of(constants.ENDPOINT), _reason(error, source)) from error
        else:
            return


def _download(source: HubSource, progress: Progress) -> Path:
    """Have the library download the file.

    Raises:
        SourceError: with what its exception means for the user.
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
                    tqdm_class=_bar_for(progress, PurePosixPath(source.path).name),
                )
            )
        except Exception as error:  # its HTTP client and hf_xet raise types of their own, not listed anywhere
            if attempt == ATTEMPTS or _is_final(error):
                raise SourceError(host_of(constants.ENDPOINT), _reason(error, source)) from error
            time.sleep(BACKOFF_SECONDS * attempt)
    raise AssertionError("unreachable")


def _is_final(error: Exception) -> bool:
    """Whether another attempt would give the same."""
    if isinstance(error, HfHubHTTPError) and (error.response.status_code >= 500 or error.response.status_code == 429):
        return False
    return isinstance(error, (HfHubHTTPError, EntryNotFoundError, ValueError))


def _reason(error: BaseException, source: HubSource) -> str:
    """What an exception of the library means; the order goes from the special to the general."""
    where = f"{source.repo} (revision {source.revision})"
    if isinstance(error, GatedRepoError):
        return f"{source.repo} is gated; accept its terms on the Hub and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no repository {source.repo}, or it is private and needs HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"{source.repo} has no revision {source.revision}"
    if isinstance(error, LocalEntryNotFoundError):
        return _reason(error.__cause__, source) if error.__cause__ else network_reason(error)
    if isinstance(error, OfflineModeIsEnabled):
        return f"{source.path} of {where} is not in the Hub's cache, and HF_HUB_OFFLINE forbids to fetch it"
    if isinstance(error, EntryNotFoundError):
        return f"{where} has no file {source.path}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        login = "; HF_TOKEN is missing or not accepted" if status == 401 else ""
        return status_reason(status, source.repo) + login
    return network_reason(error)


def _remove(path: Path) -> None:
    """Take a file out of the Hub's cache: the link in ``snapshots`` and the blob that it leads to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _bar_for(progress: Progress, name: str) -> type[Any]:
    """A class of progress bars, as the library wants it, that shows nothing itself and tells ``progress``.

    A download through Xet makes two bars, for bytes received and bytes written; only the first one counts.
    """
    bars: list[Any] = []

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": True}))  # type: ignore[no-untyped-call]
            self.leads = not bars
            bars.append(self)
            if self.leads:
                progress.start(f"Downloading {name}", kwargs.get("total"))
                progress.advance(int(kwargs.get("initial") or 0))

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if self.leads:
                progress.advance(int(n or 0))
            return None

        def close(self) -> None:
            if self.leads:
                self.leads = False
                progress.finish()
            super().close()

    return Bar


def reach(timeout_seconds: float) -> tuple[str, bool, str]:
    """Host of the Hub's endpoint, whether it answers, and a few words."""
    host = host_of(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE:
        return host, False, "not asked, HF_HUB_OFFLINE is set"
    try:
        response = get_session().head(constants.ENDPOINT, timeout=timeout_seconds)
    except Exception as error:  # the types of its HTTP client differ between versions
        return host, False, network_reason(error)
    return host, response.status_code < 400, f"answers (HTTP {response.status_code})"
