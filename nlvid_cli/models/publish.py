"""Upload a model to the Hugging Face Hub: one commit with the weights, an ONNX file if there is one, and a README."""

from __future__ import annotations

import logging
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCardData, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from nlvid_cli._version import __version__
from nlvid_cli.card.card import Card
from nlvid_cli.errors import PublishError, UsageError
from nlvid_cli.models.model_file import open_checkpoint, read_card, write_checkpoint
from nlvid_cli.models.readme import model_readme
from nlvid_cli.models.store.sources.common import causes, host_of, network_reason, status_reason
from nlvid_cli.system.terminal import behind

log = logging.getLogger(__name__)

LICENCES = frozenset((
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0",
))  # fmt: skip
"""Licences that the Hub knows. A licence that begins with none of them is ``other`` there."""

METRICS = {"top-1": "accuracy", "top-5": "accuracy", "mAP": "mean_average_precision"}
"""The Hub's names of metrics."""


@dataclass(frozen=True)
class Target:
    """Where to upload a model.

    Attributes:
        repo: ``owner/name``. Created if it does not exist.
        private: Whether to hide it from everybody else.
        revision: Branch, created if it does not exist. None means ``main``.
    """

    repo: str
    private: bool = False
    revision: str | None = None

    def __post_init__(self) -> None:
        """Refuse names that cannot exist, before any request.

        Raises:
            UsageError: The Hub does not accept ``repo`` or ``revision``.
        """
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", self.repo, re.ASCII):
            raise UsageError(f"{self.repo!r} is not a repository of the Hub; write --to owner/name")
        if self.revision is not None and not re.fullmatch(r"\w[\w./-]*", self.revision, re.ASCII):
            raise UsageError(f"{self.revision!r} is not the name of a branch; write --revision NAME")

    @property
    def page(self) -> str:
        """Address of its page on the Hub."""
        return f"{constants.ENDPOINT}/{self.repo}" + (f"/tree/{self.revision}" if self.revision else "")

    @property
    def model_address(self) -> str:
        """The ``hf://`` address that names the uploaded model."""
        return f"hf://{self.repo}{f'@{self.revision}' if self.revision else ''}/model.safetensors"


def require_publishable(card: Card) -> None:
    """Refuse a model that must not be redistributed, and a user without a token. Makes no request.

    Raises:
        UsageError: The licence does not allow redistribution.
        PublishError: There is no token, or ``HF_HUB_OFFLINE`` is set.
    """
    if not card.redistribution:
        raise UsageError(
            f"{card.name} cannot be pushed: its licence ({card.licence}) does not allow redistribution; "
            "others can fetch it from its authors with nlvid"
        )
    if constants.HF_HUB_OFFLINE:
        raise PublishError("HF_HUB_OFFLINE is set; unset it to push a model")
    if not get_token():
        raise PublishError(
            "a push needs a token with write access: create one at "
            f"{constants.ENDPOINT}/settings/tokens and set HF_TOKEN, or run `hf auth login`"
        )


def publish(card: Card, path: Path, target: Target) -> str:
    """Upload a model in one commit.

    Args:
        card: Its card, which goes into the uploaded file.
        path: Its ready file. An ONNX file of the same name beside it is uploaded too.
        target: Where to upload it.

    Returns:
        Address of the model's page.

    Raises:
        UsageError: As for :func:`require_publishable`.
        PublishError: There is no token, or the Hub cannot be reached or refuses.
    """
    require_publishable(card)
    api = HfApi(library_name="nlvid", library_version=__version__)
    onnx = path.with_suffix(".onnx")
    readme = f"---\n{metadata(card).to_yaml()}\n---\n\n{model_readme(card, target.model_address, onnx.is_file())}"
    with _with_card(card, path) as file, _hub_errors(target), _library_as_notes():
        api.create_repo(target.repo, private=target.private or None, exist_ok=True)
        if target.private and not api.model_info(target.repo).private:
            raise PublishError(f"{target.repo} is already public; make it private on the Hub, or leave --private out")
        if target.revision:
            api.create_branch(target.repo, branch=target.revision, exist_ok=True)
        files: dict[str, Path | bytes] = {"model.safetensors": file, "README.md": readme.encode()}
        if onnx.is_file():
            files["model.onnx"] = onnx
        size = sum(source.stat().st_size for source in files.values() if isinstance(source, Path))
        log.info("uploading %s (%.0f MB) to %s", ", ".join(files), size / 1e6, target.page)
        api.create_commit(
            target.repo,
            [CommitOperationAdd(name, source) for name, source in files.items()],
            commit_message=f"{card.name}, by nlvid {__version__}",
            revision=target.revision,
        )
    return target.page


def metadata(card: Card) -> ModelCardData:
    """Make the metadata that the Hub reads: licence, task, tags, results."""
    licence = re.match(r"[\w.-]*", card.licence.lower())
    known = licence[0] if licence is not None and licence[0] in LICENCES else None
    data_sets = list(dict.fromkeys(_data_set(figure.data_set) for figure in card.accuracy))
    nonlocal_blocks = card.architecture.nonlocal_blocks is not None
    tags = ["video-classification", "action-recognition", "nlvid"] + ["non-local"] * nonlocal_blocks
    return ModelCardData(
        license=known or "other",
        license_name=None if known else "see-readme",
        license_link=None if known else "README.md",
        library_name="nlvid",
        pipeline_tag="video-classification",
        datasets=data_sets or None,
        tags=tags,
        model_name=card.name,
        eval_results=[
            EvalResult(
                task_type="video-classification",
                dataset_type=_data_set(figure.data_set),
                dataset_name=figure.data_set,
                metric_type=METRICS.get(figure.metric, figure.metric),
                metric_name=f"{figure.metric} (%)",
                metric_value=figure.value,
            )
            for figure in card.accuracy
        ]
        or None,
    )


def _data_set(name: str) -> str:
    return name.split()[0].lower()


@contextmanager
def _with_card(card: Card, path: Path) -> Iterator[Path]:
    """Yield a file with exactly this card inside: a file of the cache may have been written with an older one."""
    if read_card(path) == card:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="nlvid-") as folder:
        file = Path(folder) / "model.safetensors"
        write_checkpoint(file, card, open_checkpoint(path)[1])
        yield file


@contextmanager
def _library_as_notes() -> Iterator[None]:
    """Show the library's bars on a terminal only, and its warnings (the Hub's remarks on the README) as notes.

    The bars hold only names that nlvid gave, so that they may write to the terminal itself.
    """
    shown = not are_progress_bars_disabled()
    if shown and not sys.stderr.isatty():
        disable_progress_bars()
    try:
        with redirect_stderr(behind(sys.stderr)), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore", DeprecationWarning)  # of the library's calls to its HTTP client
            warnings.simplefilter("always", UserWarning)
            yield
        for warning in caught:
            log.info("%s", " ".join(str(warning.message).split()))
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def _hub_errors(target: Target) -> Iterator[None]:
    """Turn whatever the library raises into :class:`PublishError`. Some of its types are undocumented."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:
        host = host_of(constants.ENDPOINT)
        raise PublishError(f"{target.repo} was not pushed: {host}: {_reason(error, target)}") from error


def _reason(error: Exception, target: Target) -> str:
    answer = next((cause for cause in causes(error) if isinstance(cause, HfHubHTTPError)), None)
    if isinstance(answer, RevisionNotFoundError):
        return f"there is no branch {target.revision}"
    if answer is not None:
        status = answer.response.status_code
        if status == 401:
            return "HF_TOKEN is not accepted (HTTP 401); create a new one with write access"
        if status == 403:
            return f"HF_TOKEN may not write to {target.repo} (HTTP 403); it needs write access there"
        if isinstance(answer, RepositoryNotFoundError):
            return f"there is no repository {target.repo}, or HF_TOKEN has no access to it"
        said = f", {answer.server_message}" if answer.server_message else ""
        return f"{status_reason(status, target.repo)}{said}"
    if isinstance(error, ValueError):
        return " ".join(str(error).split())
    return network_reason(error.__cause__ or error)
