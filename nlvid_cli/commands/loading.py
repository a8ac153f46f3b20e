"""How a command loads the model that its options name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlvid_cli.backends import BackendName, Precision
from nlvid_cli.commands.progress import DownloadBar
from nlvid_cli.recognize.recognizer import Recognizer, load
from nlvid_cli.system.collector import collector_paused


@dataclass(frozen=True)
class Loading:
    """The options about the model; see :func:`nlvid_cli.recognize.recognizer.load`."""

    model: str | None
    as_name: str | None
    backend: BackendName
    device: str
    precision: Precision
    clips: int | None
    crops: Literal[1, 3] | None
    step: int | None = None

    def load(self, device: str | None = None) -> Recognizer:
        """Load the model, and show downloads on stderr.

        Args:
            device: Device to load it on; None for the one of the options.
        """
        with collector_paused():  # loading imports torch
            return load(
                self.model,
                as_name=self.as_name,
                backend=self.backend,
                device=device or self.device,
                precision=self.precision,
                clips=self.clips,
                crops=self.crops,
                step=self.step,
                progress=DownloadBar(),
            )
