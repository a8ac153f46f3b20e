"""The same rows from a Ray cluster: a data set of paths, decoding as tasks, the model in a pool of actors.

::

    paths ─> map: a task per block of paths,  ─> map_batches: actors, each with ─> rows, to the process that
             a decode process in each            the model on its device            writes the ledger

Tasks ask an actor before each video whether it may be begun, so that a run can be stopped with nothing half done.
What is lost with a process or a node is computed again by Ray. A video that hangs or crashes its decoder costs that
video only, as on one machine, since the tasks decode in processes of their own too. ``ray.data.read_videos`` is not
used: it decodes all frames, and by another library.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from nlvid_cli.card.card import Preprocess, Sampling
from nlvid_cli.errors import UsageError, WorkerError
from nlvid_cli.labelling.rows import Request, row_of
from nlvid_cli.labelling.run import Row, Tally, Todo
from nlvid_cli.recognize.pipeline.pipeline import ENFORCE_SECONDS, Limits
from nlvid_cli.recognize.pipeline.worker import Decoded, DecodeWorker, WorkerLimits
from nlvid_cli.recognize.prediction import Failure, FailureReason
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.clips import ClipTable, Segment
from nlvid_cli.video.remote import video_path

log = logging.getLogger(__name__)

VIDEOS_PER_BLOCK = 4
"""So few, because the rows of a block arrive together, and what is lost of a block is done again."""

MAX_BLOCKS = 20_000

ASK_SECONDS = 0.5


class Loader(Protocol):
    """Makes the model ready on a device, on whatever machine; see ``recognizer.load``."""

    def load(self, device: str | None = None) -> Recognizer:
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
        stopping: asked twice a second whether no more videos are to be begun.
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
        done = 0
        try:
            entrance = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Entrance).remote()
            with self._watched(entrance) as begun:
                # not iter_batches: it reads ahead in a thread, which asks Ray for more while that is being shut down
                for bundle in self._plan(ray, todo, entrance).iter_internal_ref_bundles():
                    for block in ray.get(list(bundle.block_refs)):
                        told = ray.data.block.BlockAccessor.for_block(block).to_arrow().column("row").to_pylist()
                        rows = [json.loads(row) for row in told if row]
                        done += len(rows)
                        yield from rows
                    if begun and done >= ray.get(begun[0]):
                        return
        except ray.exceptions.RayError as error:
            raise WorkerError(f"the Ray cluster gave up: {' '.join(str(error).split())[-300:]}") from None
        finally:
            ray.shutdown()

    @contextmanager
    def _watched(self, entrance: Any) -> Iterator[list[Any]]:
        """Close the entrance when the run is to stop; what is yielded holds from then on how many were begun."""
        begun: list[Any] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(ASK_SECONDS):
                if self.stopping():
                    begun.append(entrance.close.remote())
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield begun
        finally:
            over.set()
            thread.join()

    def _plan(self, ray: Any, todo: Todo, entrance: Any) -> Any:
        items = [{"video": json.dumps(str(video)), "file": json.dumps(state)} for video, state in todo]
        blocks = max(1, min(len(items) // VIDEOS_PER_BLOCK, MAX_BLOCKS))
        videos = ray.data.from_items(items, override_num_blocks=blocks)
        decoded = videos.map(
            decode_row,
            fn_kwargs={"rules": self.card_rules, "limits": self.limits.worker, "may_begin": Asked(entrance)},
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


class Entrance:
    """Lets videos be begun until it is closed. An actor; a video whose process was lost comes twice."""

    def __init__(self) -> None:
        self._open = True
        self._begun = 0

    def enter(self) -> bool:
        """Whether another video may be begun."""
        self._begun += self._open
        return self._open

    def close(self) -> int:
        """Let no more be begun; returns how many were."""
        self._open = False
        return self._begun


@dataclass(frozen=True)
class Asked:
    """Asks the entrance, from a task."""

    entrance: Any

    def __call__(self) -> bool:
        """Whether another video may be begun."""
        import ray

        return bool(ray.get(self.entrance.enter.remote()))


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
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=log.isEnabledFor(logging.DEBUG), logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise WorkerError(f"no Ray cluster at {address or 'this machine'}: {error}") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own there, which ends the process at once
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


_workers: dict[str, DecodeWorker] = {}
"""Of this process of Ray, which does many tasks: a worker for each set of rules."""


def decode_row(
    row: dict[str, Any], rules: tuple[Sampling, Preprocess], limits: WorkerLimits, may_begin: Callable[[], bool]
) -> dict[str, Any]:
    """A path with the frames of its clips; or with the reason why there are none. What a task of Ray does.

    A video that may not be begun is told nothing of.
    """
    if not may_begin():
        return row | {"told": "", "frames": b""}
    worker = _worker(rules, limits)
    decoded = worker.decode(Segment(video_path(json.loads(row["video"]))))
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
        """Rows, as JSON, of decoded videos; empty for those that were not begun."""
        columns = (batch[name] for name in ("video", "file", "told", "frames"))
        return {"row": [self._row(*values) for values in zip(*columns, strict=True)]}

    def _row(self, video: str, file: str, told: str, frames: bytes) -> str:
        if not told:
            return ""
        segment, found = Segment(video_path(json.loads(video))), json.loads(told)
        if "error" in found:
            result: Any = Failure(json.loads(video), FailureReason(**found["error"]))
        else:
            pixels = np.frombuffer(frames, found["dtype"]).reshape(found["shape"])
            result = self._recognizer.look_at(
                segment, pixels, ClipTable.from_json(found["facts"]), self._request.answer
            )
        return json.dumps(row_of(result, json.loads(file), self._request))
