"""Models onto the Hugging Face Hub: one commit with the weights, the ONNX file if there is one, and a README."""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

Note = Callable[[str], None]

LICENCES = frozenset((
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0",
))  # fmt: skip
"""Identifiers of the Hub; a licence that begins with none of them is ``other`` there."""

METRICS = {"top-1": "accuracy", "top-5": "accuracy", "mAP": "mean_average_precision"}
"""The Hub's types of metrics."""


@dataclass(frozen=True)
class Target:
    """Where a model shall go.

    Attributes:
        repo: ``owner/name``; made if it is not there.
        private: whether nobody else may see it.
        revision: branch, made if it is not there; None means ``main``.
    """

    repo: str
    private: bool = False
    revision: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be right, before anything is asked.

        Raises:
            UsageError: ``repo`` or ``revision`` is not of the form that the Hub wants.
        """
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", self.repo, re.ASCII):
            raise UsageError(f"{self.repo!r} is no repository of the Hub; write --to owner/name")
        if self.revision is not None and not re.fullmatch(r"\w[\w./-]*", self.revision, re.ASCII):
            raise UsageError(f"{self.revision!r} is no name of a branch; write --revision NAME")

    @property
    def page(self) -> str:
        """Address of its page."""
        return f"{constants.ENDPOINT}/{self.repo}" + (f"/tree/{self.revision}" if self.revision else "")

    @property
    def reference(self) -> str:
        """What nlvid names the uploaded model by."""
        return f"hf://{self.repo}{f'@{self.revision}' if self.revision else ''}/model.safetensors"


def require_publishable(card: Card) -> None:
    """Refuse a model that must not be passed on, and a user whom the Hub does not know. Makes no request.

    Raises:
        UsageError: the licence does not allow it.
        PublishError: there is no token.
    """
    if not card.redistribution:
        raise UsageError(
            f"{card.name} cannot be pushed: its licence ({card.licence}) does not allow to pass the weights on; "
            "others fetch it from its authors with nlvid"
        )
    if constants.HF_HUB_OFFLINE:
        raise PublishError("HF_HUB_OFFLINE is set; unset it to push a model")
    if not get_token():
        raise PublishError(
            f"the Hub wants a token to push: make one with write access at {constants.ENDPOINT}/settings/tokens "
            "and put it into HF_TOKEN, or run `hf auth login`"
        )


def publish(card: Card, path: Path, target: Target, note: Note) -> str:
    """Upload a model in one commit.

    Args:
        card: travels inside the uploaded file.
        path: its ready file; an ONNX file of the same name beside it goes along.
        target: where to.
        note: told, in a sentence each, of what the user may want to know meanwhile.

    Returns:
        Address of the model's page.

    Raises:
        UsageError, PublishError: as for :func:`require_publishable`; and if the Hub cannot be reached or refuses.
    """
    require_publishable(card)
    api = HfApi(library_name="nlvid", library_version=__version__)
    onnx = path.with_suffix(".onnx")
    readme = f"---\n{metadata(card).to_yaml()}\n---\n\n{model_readme(card, target.reference, onnx.is_file())}"
    with _with_card(card, path) as file, _hub_errors(target), _told_by(note):
        api.create_repo(target.repo, private=target.private or None, exist_ok=True)
        if target.private and not api.model_info(target.repo).private:
            raise PublishError(f"{target.repo} is public already; make it private on the Hub, or leave --private out")
        if target.revision:
            api.create_branch(target.repo, branch=target.revision, exist_ok=True)
        files: dict[str, Path | bytes] = {"model.safetensors": file, "README.md": readme.encode()}
        if onnx.is_file():
            files["model.onnx"] = onnx
        size = sum(source.stat().st_size for source in files.values() if isinstance(source, Path))
        note(f"uploading {', '.join(files)} ({size / 1e6:.0f} MB) to {target.page}")
        api.create_commit(
            target.repo,
            [CommitOperationAdd(name, source) for name, source in files.items()],
            commit_message=f"{card.name}, by nlvid {__version__}",
            revision=target.revision,
        )
    return target.page


def metadata(card: Card) -> ModelCardData:
    """The metadata that the Hub reads: licence, task, tags, results."""
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
    """The file with this very card inside: a file of the cache may have been written with an older one."""
    if read_card(path) == card:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="nlvid-") as folder:
        file = Path(folder) / "model.safetensors"
        write_checkpoint(file, card, open_checkpoint(path)[1])
        yield file


@contextmanager
def _told_by(note: Note) -> Iterator[None]:
    """The library's bars on a terminal only, and its warnings (of what the Hub says of the README) as notes."""
    shown = not are_progress_bars_disabled()
    if shown and not sys.stderr.isatty():
        disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore", DeprecationWarning)  # between the library and its HTTP client
            warnings.simplefilter("always", UserWarning)
            yield
        for warning in caught:
            note(" ".join(str(warning.message).split()))
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def _hub_errors(target: Target) -> Iterator[None]:
    """Turn whatever the library raises into :class:`PublishError`; parts of it have types of their own."""
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
            return "HF_TOKEN is not accepted (HTTP 401); make a new one with write access"
        if status == 403:
            return f"HF_TOKEN may not write to {target.repo} (HTTP 403); it needs write access there"
        if isinstance(answer, RepositoryNotFoundError):
            return f"there is no repository {target.repo}, or HF_TOKEN may not see it"
        said = f", {answer.server_message}" if answer.server_message else ""
        return f"{status_reason(status, target.repo)}{said}"
    if isinstance(error, ValueError):
        return " ".join(str(error).split())
    return network_reason(error.__cause__ or error)
