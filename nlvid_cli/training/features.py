"""Features of videos before the head, each video looked at once, by the same road as ``classify``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch.nn import functional as F

from nlvid_cli.backends import Backend, Precision, Want
from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.recognize.pipeline.batches import Batch, VideoOutputs
from nlvid_cli.recognize.pipeline.pipeline import Limits, Pipeline
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.training.model import Trainee, tensors_of

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VideoFeatures:
    """Features of one video.

    Attributes:
        features: (views, channels), the mean of what the head classifies over the positions of each view.
        start_seconds: (views,) start of each view, from the first frame of the file.
        end_seconds: (views,) end of each view.
    """

    features: Array
    start_seconds: tuple[float, ...]
    end_seconds: tuple[float, ...]

    @property
    def mean(self) -> Array:
        """(channels,) mean over the views."""
        mean: Array = self.features.mean(axis=0)
        return mean


def features_of(
    trainee: Trainee,
    data: DataSet,
    clips: int,
    accelerator: Accelerator,
    precision: Precision = "auto",
    limits: Limits | None = None,
    mirror: bool = False,
    on_video: Callable[[], None] | None = None,
) -> list[VideoFeatures | Failure]:
    """Compute the features of all videos, in their order. Every process calls this, and each gets all of them.

    Args:
        trainee: The network; its head does not matter.
        data: The videos.
        clips: Number of clips of each video, by the rule of the card.
        accelerator: Its processes share the videos.
        precision: ``auto``, ``fp32`` or ``bf16``.
        limits: Number of decoding processes, and their limits.
        mirror: Whether to swap left and right in some clips, see :func:`is_mirrored`.
        on_video: Called in the main process after each of its videos.
    """
    rank, ranks = accelerator.process_index, accelerator.num_processes
    card = trainee.card.with_views(clips, None, None)
    backend = TorchBackend(card, tensors_of(trainee.network.state_dict()), str(accelerator.device), precision)
    own = []
    for number, result in enumerate(_looked_at(card, backend, data.videos[rank::ranks], limits or Limits(), mirror)):
        own.append((number * ranks + rank, result))
        if on_video is not None:
            on_video()
    return [result for _, result in sorted(gather_object(own), key=lambda pair: pair[0])]


def _looked_at(
    card: Card, backend: Backend, videos: Sequence[LabelledVideo], limits: Limits, mirror: bool
) -> Iterator[VideoFeatures | Failure]:
    segments = (video.segment for video in videos)
    look = partial(_features_of_batch, pool=card.architecture.head.pool, mirror=mirror)
    for outcome in Pipeline([backend], card, limits, _features_of_video, look=look).run_in_order(segments):
        yield outcome.result


def _features_of_video(video: VideoOutputs) -> VideoFeatures:
    crops = video.outputs.shape[1]
    return VideoFeatures(
        video.outputs.reshape(-1, video.outputs.shape[-1]),  # (clips, crops, channels) -> (views, channels)
        tuple(np.repeat(video.start_seconds, crops).tolist()),
        tuple(np.repeat(video.end_seconds, crops).tolist()),
    )


def is_mirrored(clips: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of a video's clips, by their numbers, are mirrored where some are: one in four, first the second."""
    mirrored: NDArray[np.bool_] = clips % 4 == 1
    return mirrored


def _features_of_batch(backend: Backend, batch: Batch, pool: tuple[int, int, int] | None, mirror: bool) -> Array:
    views = batch.views
    if mirror:
        clips = np.repeat([number for _, number in batch.clips], len(views) // len(batch.clips))
        views = views.copy()
        views[is_mirrored(clips)] = views[is_mirrored(clips), ..., ::-1]
    return pooled_features(backend, views, pool)


def pooled_features(backend: Backend, views: Array, pool: tuple[int, int, int] | None) -> Array:
    """Return what the head classifies, averaged over positions: (views, 3, T, H, W) -> (views, channels).

    The head is linear, so that its logits averaged over positions are those of this average.
    """
    features = backend.outputs(views, Want(features=True)).features
    assert features is not None
    if pool is None:
        return features.average
    pooled: Array = F.avg_pool3d(torch.from_numpy(features.map), pool, stride=1).mean(dim=(2, 3, 4)).numpy()
    return pooled
