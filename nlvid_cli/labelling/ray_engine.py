"""The same rows from a Ray cluster: a data set of paths, decoding as tasks, the model in a pool of actors.

::

    paths ─> map: a task per block of paths,  ─> map_batches: actors, each with ─> rows, to the process that
             a decode process in each            the model on its device            writes the ledger

What is lost with a process or a node is computed again by Ray. A video that hangs or crashes its decoder costs that
video only, as on one machine, since the tasks decode in processes of their own too. ``ray.data.read_videos`` is not
used: it decodes all frames, and by another library.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from nlvid_cli.checkpoints.card import Preprocess, Sampling
from nlvid_cli.errors import UsageError, WorkerError
from nlvid_cli.labelling.rows import Request, row_of
from nlvid_cli.labelling.run import Row, Tally, Todo
from nlvid_cli.pipeline.pipeline import ENFORCE_SECONDS, Limits
from nlvid_cli.pipeline.worker import Decoded, DecodeWorker, WorkerLimits, facts_of
from nlvid_cli.prediction import Failure, FailureReason
from nlvid_cli.recognizer import Recognizer
from nlvid_cli.video.clips import Stretch

log = logging.getLogger(__name__)

VIDEOS_PER_BLOCK = 4
"""So few, because the rows of a block arrive together, and what is lost of a block is done again."""

MAX_BLOCKS = 20_000


class Loader(Protocol):
    """Makes the model ready on a device, on whatever machine; see ``recognizer.load``."""

    def load(self, device: str) -> Recognizer:
        """The model."""


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster.

    Attributes:
        loader: makes the model ready in each actor; a model in a file must be at the same path on all nodes.
        card_rules: how videos are sampled and preprocessed.
        request: what is wanted.
        limits: what decoding a video may take; ``workers`` is the size of a cluster that is started for the run.
        gpus: number of actors with a GPU each; None: actors on processors.
        address: of the cluster; None starts one on this machine.
        stopping: asked after each row whether to stop.
    """

    loader: Loader
    card_rules: tuple[Sampling, Preprocess]
    request: Request
    limits: Limits
    gpus: int | None
    address: str | None
    stopping: Callable[[], bool]

    def __call__(self, todo: Todo, tally: Tally) -> Generator[Row, None, None]:
        """Rows of videos as they come.

        Raises:
            WorkerError: the cluster cannot be reached, or gave up.
        """
        ray = _import_ray()
        _connect(ray, self.address, self.limits)
        try:
            for batch in self._plan(ray, todo).iter_batches(batch_size=None, prefetch_batches=0):
                yield from map(json.loads, batch["row"])
                if self.stopping():
                    return
        except ray.exceptions.RayError as error:
            raise WorkerError(f"the Ray cluster gave up: {' '.join(str(error).split())[-300:]}") from None
        finally:
            ray.shutdown()

    def _plan(self, ray: Any, todo: Todo) -> Any:
        items = [{"video": json.dumps(video), "file": json.dumps(state)} for video, state in todo]
        blocks = max(1, min(len(items) // VIDEOS_PER_BLOCK, MAX_BLOCKS))
        videos = ray.data.from_items(items, override_num_blocks=blocks)
        decoded = videos.map(
            decode_row,
            fn_kwargs={"rules": self.card_rules, "limits": self.limits.worker},
            num_cpus=1,
        )
        processors = int(ray.cluster_resources().get("CPU", 1))
        return decoded.map_batches(
            _Look,
            fn_constructor_args=(self.loader, self.request, "cpu" if self.gpus is None else "cuda"),
            batch_size=1,
            concurrency=(1, max(1, processors // 2)) if self.gpus is None else self.gpus,
            num_cpus=1 if self.gpus is None else 0,
            num_gpus=None if self.gpus is None else 1,
        )


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # tell nobody
    os.environ.setdefault("RAY_worker_niceness", "0")  # else 15, and whatever else runs here comes first
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError:
        raise UsageError("--engine ray needs Ray: pip install 'nlvid-cli[ray]'") from None
    return ray


def _connect(ray: Any, address: str | None, limits: Limits) -> None:
    own = {} if address else {"num_cpus": limits.workers, "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=log.isEnabledFor(logging.DEBUG), logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise WorkerError(f"no Ray cluster at {address or 'this machine'}: {error}") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


_workers: dict[str, DecodeWorker] = {}
"""Of this process of Ray, which does many tasks: a worker for each set of rules."""


def decode_row(row: dict[str, Any], rules: tuple[Sampling, Preprocess], limits: WorkerLimits) -> dict[str, Any]:
    """A path with the frames of its clips; or with the reason why there are none. What a task of Ray does."""
    worker = _worker(rules, limits)
    decoded = worker.decode(Stretch(json.loads(row["video"])), lambda size_bytes: True)
    if isinstance(decoded, FailureReason):
        found: dict[str, Any] = {"error": asdict(decoded)}
        return row | {"told": json.dumps(found), "frames": b""}
    assert isinstance(decoded, Decoded)
    found = {"facts": asdict(decoded.facts), "shape": decoded.frames.shape, "dtype": decoded.frames.dtype.name}
    return row | {"told": json.dumps(found), "frames": decoded.frames.tobytes()}


def _worker(rules: tuple[Sampling, Preprocess], limits: WorkerLimits) -> DecodeWorker:
    key = repr((rules, limits))
    if key not in _workers:
        worker = _workers[key] = DecodeWorker(*rules, limits)

        def enforce() -> None:
            pause = threading.Event()
            while not pause.wait(ENFORCE_SECONDS):
                worker.enforce()

        threading.Thread(target=enforce, daemon=True).start()
    return _workers[key]


class _Look:
    """The model, in an actor."""

    def __init__(self, loader: Loader, request: Request, device: str) -> None:
        self._recognizer = loader.load(device)
        self._request = request

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Rows, as JSON, of decoded videos."""
        columns = (batch[name] for name in ("video", "file", "told", "frames"))
        return {"row": [self._row(*values) for values in zip(*columns, strict=True)]}

    def _row(self, video: str, file: str, told: str, frames: bytes) -> str:
        stretch, found = Stretch(json.loads(video)), json.loads(told)
        if "error" in found:
            result: Any = Failure(json.loads(video), FailureReason(**found["error"]))
        else:
            pixels = np.frombuffer(frames, found["dtype"]).reshape(found["shape"])
            result = self._recognizer.look_at(stretch, pixels, facts_of(found["facts"]), self._request.answer)
        return json.dumps(row_of(result, json.loads(file), self._request))
