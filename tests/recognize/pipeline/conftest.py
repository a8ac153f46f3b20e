from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nlvid_cli.card.card import Card
from nlvid_cli.recognize.pipeline.worker import DecodeWorker, WorkerLimits
from tests.clips import make_clip

MakeWorker = Callable[[WorkerLimits], DecodeWorker]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=30)


@pytest.fixture
def odd_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "tests.recognize.pipeline.odd_decoder")


@pytest.fixture
def make_worker(card: Card, odd_decoders: None) -> Iterator[MakeWorker]:
    """Make workers whose limits are enforced, as in a pipeline."""
    workers: list[DecodeWorker] = []
    over = threading.Event()

    def enforce() -> None:
        while not over.wait(0.05):
            for worker in workers:
                worker.enforce()

    def make(limits: WorkerLimits) -> DecodeWorker:
        workers.append(DecodeWorker(card.sampling, card.preprocess, limits))
        return workers[-1]

    watch = threading.Thread(target=enforce)
    watch.start()
    yield make
    over.set()
    watch.join()
    for worker in workers:
        worker.close()
