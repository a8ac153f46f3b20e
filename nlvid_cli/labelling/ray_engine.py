"""The same rows from a Ray cluster: decoding as tasks, the model in a pool of actors.

::

    videos ─> map: a task per block of videos,  ─> map_batches: actors, each with ─> rows, to the process that
              a decode process in each             the model on its device            writes the ledger

Tasks ask an actor, the gate, before they begin a video, so that a run can stop with nothing half done. Ray recomputes
what is lost with a process or a node. Tasks decode in processes of their own, so that a video that hangs or crashes its
decoder costs that video only, as on one machine.

A timeline has no task for decoding: the actor itself has a decode process, whose parts it looks at as they come. So no
more than a few parts of a long video are in memory, on any node.
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
from nlvid_cli.labelling.rows import FileState, Request, Row
from nlvid_cli.labelling.run import Tally, Todo
from nlvid_cli.recognize.pipeline.pipeline import ENFORCE_SECONDS, Limits
from nlvid_cli.recognize.pipeline.worker import Decoded, DecodeWorker, WorkerLimits
from nlvid_cli.recognize.prediction import Failure, FailureReason
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.clips import ClipTable
from nlvid_cli.video.segment import Segment

log = logging.getLogger(__name__)

VIDEOS_PER_BLOCK = 4
"""Few, because the rows of a block arrive together, and a block that is lost is done again."""

MAX_BLOCKS = 20_000

ASK_SECONDS = 0.5
"""Time between two looks at whether the run is to stop."""


class Loader(Protocol):
    """Loads the model on a device, in any process of the cluster."""

    def load(self, device: str | None = None) -> Recognizer:
        """Load the model; see ``recognizer.load``."""


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster.

    Attributes:
        loader: Loads the model in each actor. A model file must be at the same path on all nodes.
        card_rules: How videos are sampled and preprocessed.
        request: What to ask about each video.
        limits: Limits on decoding one video; ``workers`` is the size of a cluster that is started for the run.
        gpus: Number of actors with a GPU each; None for actors on processors.
        address: Address of the cluster; None starts one on this machine.
        stopping: Whether to begin no more videos; asked twice a second.
    """

    loader: Loader
    card_rules: tuple[Sampling, Preprocess]
    request: Request
    limits: Limits
    gpus: int | None
    address: str | None
    stopping: Callable[[], bool]

    def __call__(self, todo: Todo, tally: Tally) -> Generator[Row, None, None]:
        """Yield the rows of videos as they are done.

        Raises:
            WorkerError: The cluster is out of reach, or gave up.
        """
        ray = _import_ray()
        _connect(ray, self.address, self.limits)
        done = 0
        try:
            gate = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Gate).remote()
            with self._watched(gate) as begun:
                for lines in _column_as_done(ray, self._plan(ray, todo, gate), "line"):
                    rows = [Row.parse(line.encode("ascii")) for line in lines if line]
                    done += len(rows)
                    yield from rows
                    if begun and done >= ray.get(begun[0]):
                        return
        except ray.exceptions.RayError as error:
            raise WorkerError(f"the Ray cluster gave up: {' '.join(str(error).split())[-300:]}") from None
        finally:
            ray.shutdown()

    @contextmanager
    def _watched(self, gate: Any) -> Iterator[list[Any]]:
        """Close the gate when the run is to stop; from then on the list holds a reference to how many were begun."""
        begun: list[Any] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(ASK_SECONDS):
                if self.stopping():
                    begun.append(gate.close.remote())
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield begun
        finally:
            over.set()
            thread.join()

    def _plan(self, ray: Any, todo: Todo, gate: Any) -> Any:
        """The data set of lines, which Ray computes when it is read."""
        # As JSON: Arrow's text is UTF-8, and paths may hold other bytes.
        items = [{"video": _segment_json(video), "file": json.dumps(state and state.record)} for video, state in todo]
        blocks = max(1, min(len(items) // VIDEOS_PER_BLOCK, MAX_BLOCKS))
        videos = ray.data.from_items(items, override_num_blocks=blocks)
        processors = int(ray.cluster_resources().get("CPU", 1))
        actors: dict[str, Any] = {
            "batch_size": 1,
            "concurrency": (1, max(1, processors // 2)) if self.gpus is None else self.gpus,
            "num_cpus": 1 if self.gpus is None else 0,
            "num_gpus": None if self.gpus is None else 1,
        }
        device = "cpu" if self.gpus is None else "cuda"
        if self.request.rule is not None:
            arguments = (self.loader, self.request, device, self.limits.worker, AskGate(gate))
            return videos.map_batches(TimelineActor, fn_constructor_args=arguments, **actors)
        decoded = videos.map(
            decode_row,
            fn_kwargs={"rules": self.card_rules, "limits": self.limits.worker, "may_begin": AskGate(gate)},
            num_cpus=1,
        )
        return decoded.map_batches(NetworkActor, fn_constructor_args=(self.loader, self.request, device), **actors)


def _column_as_done(ray: Any, dataset: Any, name: str) -> Iterator[list[Any]]:
    """Yield the values of a column, a block at a time, as blocks are done.

    The one place that uses internals of Ray Data. Its public ``iter_batches`` reads ahead in a thread, and where a run
    ends early, that thread asks Ray for a block while Ray is shut down, which ends the whole process with status 1.
    """
    for bundle in dataset.iter_internal_ref_bundles():
        for block in ray.get(list(bundle.block_refs)):
            yield ray.data.block.BlockAccessor.for_block(block).to_arrow().column(name).to_pylist()


class Gate:
    """Lets tasks begin videos until it is closed. An actor; a video whose process was lost counts twice."""

    def __init__(self) -> None:
        self._open = True
        self._begun = 0

    def enter(self) -> bool:
        """Return whether another video may be begun."""
        self._begun += self._open
        return self._open

    def close(self) -> int:
        """Let no more videos be begun, and return how many were."""
        self._open = False
        return self._begun


@dataclass(frozen=True)
class AskGate:
    """Asks the gate from a task."""

    gate: Any

    def __call__(self) -> bool:
        """Return whether another video may be begun."""
        import ray

        return bool(ray.get(self.gate.enter.remote()))


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports usage unless told not to
    os.environ.setdefault("RAY_worker_niceness", "0")  # the default of 15 lets every other process go first
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
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's handler ends the process at once
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _segment_json(segment: Segment) -> str:
    return json.dumps(segment.to_dict())


def _segment_of(text: str) -> Segment:
    return Segment.from_dict(json.loads(text))


_workers: dict[str, DecodeWorker] = {}
"""Decode processes of this process of Ray, which runs many tasks: one for each set of rules."""


def decode_row(
    row: dict[str, Any], rules: tuple[Sampling, Preprocess], limits: WorkerLimits, may_begin: Callable[[], bool]
) -> dict[str, Any]:
    """Decode a video, as a task of Ray.

    Args:
        row: The video, or the part of one, and the state of its file, as JSON.
        rules: How to sample and preprocess.
        limits: Limits on decoding.
        may_begin: Whether the video may be begun.

    Returns:
        The row with ``frames``, and ``decoded``: JSON of what else was found or of the error, and empty if the video
        was not begun.
    """
    if not may_begin():
        return row | {"decoded": "", "frames": b""}
    worker = _worker(rules, limits)
    decoded = worker.decode(_segment_of(row["video"]))
    if isinstance(decoded, FailureReason):
        return row | {"decoded": json.dumps({"error": asdict(decoded)}), "frames": b""}
    assert isinstance(decoded, Decoded)
    found = {"clips": asdict(decoded.clips), "shape": decoded.frames.shape, "dtype": decoded.frames.dtype.name}
    return row | {"decoded": json.dumps(found), "frames": decoded.frames.tobytes()}


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


class NetworkActor:
    """The model, in an actor of Ray."""

    def __init__(self, loader: Loader, request: Request, device: str) -> None:
        self._recognizer = loader.load(device)
        self._request = request

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Return the lines of decoded videos; empty for videos that were not begun."""
        columns = (batch[name] for name in ("video", "file", "decoded", "frames"))
        return {"line": [self._line(*values) for values in zip(*columns, strict=True)]}

    def _line(self, video: str, file: str, decoded: str, frames: bytes) -> str:
        if not decoded:
            return ""
        segment, found = _segment_of(video), json.loads(decoded)
        if "error" in found:
            result: Any = Failure(str(segment.path), FailureReason(**found["error"]), segment.stretch, segment.fps)
        else:
            pixels = np.frombuffer(frames, found["dtype"]).reshape(found["shape"])
            clips = ClipTable.from_json(found["clips"])
            result = self._recognizer.classify_decoded(segment, pixels, clips, self._request.answer)
        return Row.of(result, FileState.parse(json.loads(file)), self._request).line.decode("ascii")


class TimelineActor:
    """The model and a decode process, in an actor of Ray."""

    def __init__(
        self, loader: Loader, request: Request, device: str, limits: WorkerLimits, may_begin: Callable[[], bool]
    ) -> None:
        self._recognizer = loader.load(device)
        self._request = request
        self._limits = Limits(limits, workers=1)
        self._may_begin = may_begin

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Return the lines of videos; empty for videos that were not begun."""
        return {"line": [self._line(*values) for values in zip(batch["video"], batch["file"], strict=True)]}

    def _line(self, video: str, file: str) -> str:
        if not self._may_begin():
            return ""
        segment, request = _segment_of(video), self._request
        (result,) = self._recognizer.timeline_many([segment], request.answer, request.rule, self._limits)
        return Row.of(result, FileState.parse(json.loads(file)), request).line.decode("ascii")
