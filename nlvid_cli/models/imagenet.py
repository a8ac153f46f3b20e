"""ImageNet networks as bases: ``imagenet:resnet50`` is a C2D or I3D ResNet with the weights of an image network.

::

    imagenet:resnet50                     torchvision's network of that name, inflated to the paper's I3D
    imagenet:weights/resnet50.pth         a file with torchvision's tensor names; also hf:// and https:// addresses
    imagenet-c2d:resnet50                 the same weights in the paper's C2D, which has no kernels over time

"Non-local Neural Networks", section 4 and table 1: strides and pools are the authors'. Two things are torchvision's, so
that the video network sees what the image network saw: the padding of the first pool, and the normalisation of pixels.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nlvid_cli.card.architecture import Head, Kernel3d, ResNetArchitecture
from nlvid_cli.card.card import Card, Labels, Preprocess, Sampling, UrlSource
from nlvid_cli.errors import CheckpointMismatch, ModelFileError, ModelUnavailable, did_you_mean
from nlvid_cli.models.adopt import NamedFile, local_file
from nlvid_cli.models.convert import NO_LABELS
from nlvid_cli.models.formats.opening import open_file
from nlvid_cli.models.formats.torchvision import matches
from nlvid_cli.models.inflate import inflate
from nlvid_cli.models.naming import kind_of
from nlvid_cli.models.progress import NoProgress, Progress
from nlvid_cli.models.store.cache import model_name_of, published_checksums
from nlvid_cli.models.store.checksums import digests_of
from nlvid_cli.models.store.fetch import fetch_file, fetch_hub_file
from nlvid_cli.network.build import build_network

log = logging.getLogger(__name__)

KINDS = {"imagenet:": "i3d", "imagenet-c2d:": "c2d"}
"""What a base begins with, and the network that the weights are for."""

ADDRESS = "https://download.pytorch.org/models/"

FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
}
"""torchvision's files, IMAGENET1K_V1: trained as those of the paper were. Each name ends with the start of a sha256."""

HEADS = re.compile(r"(fc|head|classifier|projector|projection_head|prototypes|predictor)\..*")
"""Names of what image networks have behind their features: a classifier, or what self-supervised training needs."""

_SAMPLING = Sampling(frames=32, step=2, clips=10, clip_starts="ends", short_video="loop")
_PREPROCESS = Preprocess(256, 224, 1, "swscale_bilinear", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def is_imagenet(name: object) -> bool:
    """Whether a base is an ImageNet network."""
    return isinstance(name, str) and name.startswith(tuple(KINDS))


def imagenet_base(name: str, progress: Progress | None = None) -> tuple[Card, dict[str, np.ndarray]]:
    """Return the card and the weights of a video network that begins as an image network.

    Args:
        name: One of :data:`KINDS`, and a key of :data:`FILES`, a local file or an address.
        progress: Receives download progress.

    Returns:
        The card of a network without non-local blocks, and all its tensors by name. A video of equal frames gives what
        the image network gives for one of them, as far as no kernel over time reaches beyond the clip: everywhere in a
        C2D, and in an I3D away from the ends of a clip. The labels are the numbers of the image network's classes.

    Raises:
        UnknownName: There is no such network.
        ModelUnavailable: The file is not on this machine, and could not be fetched.
        ModelError: The file is damaged, unsafe, or not of a ResNet by torchvision's names.
    """
    prefix = next(prefix for prefix in KINDS if name.startswith(prefix))
    file = _file(name.removeprefix(prefix), progress or NoProgress())
    tensors = _image_tensors(file)
    card = _card(KINDS[prefix], file, tensors)
    try:
        inflated = inflate({name: torch.from_numpy(array) for name, array in tensors.items()}, build_network(card))
    except CheckpointMismatch as error:
        raise CheckpointMismatch(f"{file.shown}: {error}") from None
    log.info("%s", card.summary)
    return card, {name: tensor.numpy() for name, tensor in inflated.items() if "num_batches" not in name}


def _file(name: str, progress: Progress) -> NamedFile:
    """Return the file that a name, a path or an address means; fetch it if need be."""
    if name in FILES:
        return _published_file(name, progress)
    kind = kind_of(name)
    if kind == "name":
        raise did_you_mean("ImageNet network", name, FILES, "or give a file with torchvision's tensor names")
    if kind == "hub":
        return fetch_hub_file(name, progress)
    return fetch_file(UrlSource("url", name), progress) if kind == "url" else local_file(os.path.expanduser(name))


def _published_file(name: str, progress: Progress) -> NamedFile:
    """Return torchvision's own file: from the cache of torch's hub if it is there, else from nlvid's, fetched once."""
    file_name = FILES[name]
    source = UrlSource("url", ADDRESS + file_name, sha256_prefix=file_name[-12:-4])
    in_hub = Path(torch.hub.get_dir()) / "checkpoints" / file_name
    if in_hub.is_file():
        published = published_checksums(source)
        if published.fit(digests_of(in_hub, published)):
            return NamedFile(str(in_hub), file_name, in_hub)
        log.info("%s: not torchvision's file, by its checksum; fetching it again", in_hub)
    try:
        return fetch_file(source, progress)
    except ModelUnavailable as error:
        raise ModelUnavailable(
            f"{error}; fetch it elsewhere, and give the file: --base imagenet:{file_name}"
        ) from error


def _image_tensors(file: NamedFile) -> dict[str, np.ndarray]:
    """Return the tensors by torchvision's names, without a head that is not one layer."""
    tensors = open_file(file.path, matches)
    if not matches(tensors):
        raise ModelFileError(
            f"{file.shown}: not a ResNet for images by torchvision's names (conv1, layer1.0.conv1, ...)"
        )
    if tensors["conv1.weight"].ndim != 4:
        raise ModelFileError(f"{file.shown}: a network for videos, not for images; name it with --base FILE --as NAME")
    head = {"fc.weight", "fc.bias"} if {"fc.weight", "fc.bias"} <= tensors.keys() else set()
    return {name: tensor for name, tensor in tensors.items() if name in head or not HEADS.fullmatch(name)}


def _card(kind: str, file: NamedFile, tensors: Mapping[str, np.ndarray]) -> Card:
    """Return the card of the C2D or I3D with the blocks that the image network has."""
    blocks = tuple(
        len({_block(name) for name in tensors if name.startswith(f"layer{stage}.")}) for stage in range(1, 5)
    )
    layers = 3 if "layer1.0.conv3.weight" in tensors else 2
    depth = 2 + layers * sum(blocks)
    classes = len(tensors["fc.bias"]) if "fc.bias" in tensors else 0
    names = tuple(f"ImageNet class {number}" for number in range(classes)) or NO_LABELS
    architecture = ResNetArchitecture(
        "resnet",
        blocks=blocks,  # type: ignore[arg-type]
        block="bottleneck" if layers == 3 else "basic",
        width=len(tensors["conv1.weight"]),
        stem=Kernel3d((1, 7, 7), (2, 2, 2), (0, 3, 3)),
        pool1=Kernel3d((2, 3, 3), (2, 2, 2), (0, 1, 1)),
        pool2=Kernel3d((2, 1, 1), (2, 1, 1)),
        head=Head("softmax_of_mean"),
    )
    if kind == "i3d":
        architecture = _with_kernels_over_time(architecture)
    return Card(
        name=f"{kind}-r{depth}-32x2.{model_name_of(file.name)}",
        summary=f"{file.name}, inflated to {'an I3D' if kind == 'i3d' else 'a C2D'} ResNet-{depth}",
        paper="Wang, Girshick, Gupta and He, Non-local Neural Networks, CVPR 2018",
        licence="that of the image network",
        origin=f"{file.name}, an image network",
        format="torchvision",
        sources=(),
        architecture=architecture,
        sampling=_SAMPLING,
        preprocess=_PREPROCESS,
        labels=Labels("single", len(names), names=names),
    )


def _block(name: str) -> str:
    """``layer3.11.conv1.weight`` -> ``layer3.11``."""
    return ".".join(name.split(".")[:2])


def _with_kernels_over_time(c2d: ResNetArchitecture) -> ResNetArchitecture:
    """Return the paper's I3D: 5 x 7 x 7 in the stem, 3 x 1 x 1 in every other block and all of res2, as its authors."""
    second, third, fourth, fifth = (tuple(range(count)) for count in c2d.blocks)
    return replace(
        c2d,
        stem=Kernel3d((5, 7, 7), (2, 2, 2), (2, 3, 3)),
        inflate=(second, third[::2], fourth[::2], fifth[1::2]),
    )
