"""PyTorch, on a CPU or a GPU."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nlvid_cli.backends import (
    SCORES_ONLY,
    Array,
    Attention,
    BlockChange,
    Features,
    Gradients,
    Outputs,
    Precision,
    Want,
)
from nlvid_cli.backends.attention import attention_rows, require_blocks
from nlvid_cli.backends.streams import Streams, streams_for
from nlvid_cli.card.card import Card
from nlvid_cli.errors import DeviceError
from nlvid_cli.network.build import load_network
from nlvid_cli.network.gradients import class_gradients
from nlvid_cli.network.head import SCORES, mean_logits
from nlvid_cli.network.inference import inference_form
from nlvid_cli.network.nonlocal_block import block_of
from nlvid_cli.network.observe import Observed, observe
from nlvid_cli.system.processors import limit_torch_threads

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

VIEWS_PER_BATCH = {"mps": 1, "cuda": 10}
"""Number of views in one forward pass. On a CPU each has its own pass, several at the same time (:class:`Streams`)."""


class TorchBackend:
    """A network of torch in its inference form.

    Args:
        card: Card of the model.
        tensors: Weights by name.
        device: ``auto`` (a CUDA GPU if there is one, else the CPU) or a device name of torch.
        precision: ``auto`` (the fastest that the hardware has units for) or a key of :data:`DTYPES`.

    Raises:
        DeviceError: The device is not available, or cannot compute in that precision.
        CheckpointMismatch: The weights do not fit the card's network.
    """

    name = "torch"

    def __init__(self, card: Card, tensors: Mapping[str, Array], device: str, precision: Precision) -> None:
        self._card = card
        self._device = choose_device(device)
        limit_torch_threads()
        self.device = str(self._device)
        self.precision = choose_precision(self._device, precision)
        network = load_network(card, tensors)
        self._dtype = DTYPES[self.precision]
        self._network = inference_form(network, self._device, self._dtype)
        if self._device.type == "cuda" and self.precision == "fp32":
            torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32: TF32 rounds to 10 bits
        self._streams: Streams | None = None
        if self._device.type == "cpu":
            self.views_per_batch, threads = streams_for(torch.get_num_threads())
            self._streams = Streams(self.views_per_batch, threads) if self.views_per_batch > 1 else None
        else:
            self.views_per_batch = VIEWS_PER_BATCH[self._device.type]

    def outputs(self, views: Array, want: Want = SCORES_ONLY) -> Outputs:
        """Run the network; see :meth:`Backend.outputs`."""
        require_blocks(self._card, want.attention)
        results: list[Outputs] = []
        start = 0
        while start < len(views):
            batch = torch.from_numpy(views[start : start + self.views_per_batch])
            try:
                results += self._forward_all(batch, want)
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise DeviceError(
                        f"{self.device}: not enough memory for a single view of shape {tuple(batch.shape)}; "
                        "use --device cpu, or --precision bf16 or fp16"
                    ) from None
                self.views_per_batch = len(batch) // 2
                log.warning("%s ran out of memory; going on with %d views at a time", self.device, len(batch) // 2)
                torch.cuda.empty_cache()
                continue
            start += len(batch)
        return Outputs.join(results)

    def gradients(self, view: Array, label: int, blocks: Sequence[str] = ()) -> Gradients:
        """Run the network forward and backward; see :meth:`Backend.gradients`."""
        require_blocks(self._card, blocks)
        clip = self._placed(torch.from_numpy(view))
        try:
            found = class_gradients(self._network, clip, label, blocks)
        except torch.OutOfMemoryError:
            raise DeviceError(f"{self.device}: not enough memory for gradients; use --device cpu") from None
        changes = {
            name: BlockChange(
                _numpy(found.added[name].norm(dim=0)),
                _numpy((found.added[name] * found.added_gradient[name]).sum(dim=0)),
                block_of(self._network, name).ignores_weights,
            )
            for name in blocks
        }
        return Gradients(found.logit, _numpy(found.features), _numpy(found.feature_gradient), changes)

    def _forward_all(self, batch: Tensor, want: Want) -> list[Outputs]:
        if self._streams is None:
            return [self._forward(batch, want)]
        views = [batch[i : i + 1] for i in range(len(batch))]
        if 2 * len(views) <= self.views_per_batch:  # too few to fill the processors side by side
            return [self._forward(view, want) for view in views]
        return self._streams.map(lambda view: self._forward(view, want), views)

    def _forward(self, batch: Tensor, want: Want) -> Outputs:
        return _run(self._network, self._card, self._placed(batch), want)

    def _placed(self, batch: Tensor) -> Tensor:
        return batch.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last_3d)


@torch.inference_mode()
def outputs_as_written(card: Card, tensors: Mapping[str, Array], views: Array, want: Want = SCORES_ONLY) -> Outputs:
    """Outputs of the network on the CPU in fp32, without any of the changes that make it fast.

    The yardstick for everything else. Arguments as for :meth:`Backend.outputs`.
    """
    network = load_network(card, tensors)
    return Outputs.join([_run(network, card, torch.from_numpy(views[i : i + 1]), want) for i in range(len(views))])


@torch.inference_mode()
def _run(network: nn.Module, card: Card, clips: Tensor, want: Want) -> Outputs:
    """Run a form of the card's network; ``clips`` are on its device and in its precision."""
    if want.features or want.attention:
        observed = observe(network, clips, want.attention)
        logits = observed.logits
    else:
        observed, logits = None, network(clips)
    return Outputs(
        _numpy(mean_logits(logits)),
        _numpy(SCORES[card.architecture.head.scores](logits)),
        _features(observed.features) if observed and want.features else None,
        _attention(observed, card, want) if observed and want.attention else None,
    )


def _features(last_map: Tensor) -> Features:
    last_map = last_map.float()
    return Features(_numpy(last_map), _numpy(last_map.mean(dim=(2, 3, 4))))


def _attention(observed: Observed, card: Card, want: Want) -> dict[str, Attention]:
    rows = {}
    for block, positions in want.attention.items():
        queries, keys = map(_numpy, observed.attention[block])
        rows[block] = attention_rows(queries, keys, card, block, positions)
    return rows


def _numpy(x: Tensor) -> Array:
    """float32 on the CPU, with its axes in order in memory."""
    array: Array = x.float().cpu().contiguous().numpy()
    return array


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is a CUDA GPU if there is one, else the CPU.

    Raises:
        DeviceError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"no such device: {name!r}; use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cpu":
        return device
    if device.type == "cuda" and (device.index or 0) < torch.cuda.device_count():
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and torch.backends.mps.is_available():
        return device
    raise DeviceError(f"device {name!r} is not available here; `nlvid doctor` lists the devices")


def choose_precision(device: torch.device, name: Precision) -> str:
    """Return the precision to compute in; ``auto`` is the fastest that the hardware has units for.

    Raises:
        DeviceError: There is no such precision, or the device cannot compute in it.
    """
    if name == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        return "bf16" if device.type == "cpu" and cpu_has_bf16_units() else "fp32"
    if name not in DTYPES:
        raise DeviceError(f"no such precision: {name!r}; use auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 is not available on CPUs; use --precision bf16 or fp32")
    return name


def cpu_has_bf16_units() -> bool:
    """Whether the processor multiplies bfloat16 itself (AMX or AVX512-BF16). Emulation would be slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def describe_devices() -> dict[str, str]:
    """Describe the devices of this machine, by their names for ``--device``, with the precision of ``auto`` on each."""
    cpu = torch.device("cpu")
    limit_torch_threads()
    devices = {"cpu": f"{torch.get_num_threads()} threads, {choose_precision(cpu, 'auto')}"}
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        properties = torch.cuda.get_device_properties(device)
        devices[str(device)] = (
            f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {choose_precision(device, 'auto')}"
        )
    if torch.backends.mps.is_available():
        devices["mps"] = choose_precision(torch.device("mps"), "auto")
    return devices
