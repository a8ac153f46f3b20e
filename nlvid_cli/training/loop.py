"""The training loop: forward, backward, step; validate and save at intervals.

Hugging Face Accelerate handles devices, precision, accumulation, and several processes. What a step computes does not
depend on the number of processes.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.errors import NumericalError, WorkerError
from nlvid_cli.models.model_file import in_fp16, write_checkpoint
from nlvid_cli.network.head import mean_logits
from nlvid_cli.system.interrupts import GentleInterrupt
from nlvid_cli.training.augment import mix_pairs, normalise
from nlvid_cli.training.clips import ClipDataset
from nlvid_cli.training.division import Division
from nlvid_cli.training.figures import FIGURES, TrainFigure, known_figures, validate
from nlvid_cli.training.folder import MODEL_FILE, RunState, save_state, writing
from nlvid_cli.training.global_batch import PassPosition, use_global_batch
from nlvid_cli.training.loader import ClipBatch, ClipLoader
from nlvid_cli.training.model import Trainee, tensors_of
from nlvid_cli.training.observer import EpochRow, Observer, StepRow
from nlvid_cli.training.optimization import (
    chance_loss,
    make_loss,
    make_optimizer,
    move_average,
    set_learning_rate,
    start_average,
)
from nlvid_cli.training.plan import TrainingPlan
from nlvid_cli.training.records import Records

VALIDATION_CLIPS = 3
"""Clips of each validation video that choose the best epoch."""

STEPS_PER_ROW = {"cuda": 10}
"""Steps between two step rows, by device; 1 for others. A GPU has to finish its work before it can tell the loss."""


@dataclass
class Interval:
    """What happened since the last step row."""

    started: float = field(default_factory=time.perf_counter)
    waited: float = 0.0
    losses: list[Tensor] = field(default_factory=list)


class Loop:
    """A run, from its current step to its end.

    Args:
        trainee: Network to train.
        plan: How to train it.
        clips: Training clips.
        validation: Videos to validate on; None for no validation.
        division: Which process sees which clip when.
        accelerator: Device, precision, and processes.
        folder: Folder of the run.
        observer: Receives steps, epochs, and notes in the main process.
    """

    def __init__(
        self,
        trainee: Trainee,
        plan: TrainingPlan,
        clips: ClipDataset,
        validation: DataSet | None,
        division: Division,
        accelerator: Accelerator,
        folder: Path,
        observer: Observer,
    ) -> None:
        self.trainee, self.recipe, self.clips, self.validation = trainee, plan.recipe, clips, validation
        self.division, self.accelerator, self.folder, self.observer = division, accelerator, folder, observer
        self.save_seconds = plan.machine.save_minutes * 60
        label_kind = trainee.card.labels.kind
        self.loss = make_loss(self.recipe, clips.data, label_kind)
        self.figure = TrainFigure(label_kind, clips.data.classes)
        self.position = PassPosition(division.seed, rank=division.rank, ranks=division.ranks)
        on_gpu = accelerator.device.type == "cuda"
        use_global_batch(trainee.network, self.position, self.recipe.dropout, trainee.frozen, on_gpu)
        # convolutions of CPUs and tensor cores are up to twice as fast with channels last
        self.network = accelerator.prepare_model(trainee.network.to(memory_format=torch.channels_last_3d))
        self.optimizer = accelerator.prepare_optimizer(make_optimizer(trainee, self.recipe))
        self.average = start_average(trainee.network) if self.recipe.average_decay else {}
        self.state = RunState(0, {}, {}, {}, None, 0, [], {}, {})
        self._warned = False
        self.steps_per_row = STEPS_PER_ROW.get(accelerator.device.type, 1)

    def resume(self, state: RunState) -> None:
        """Continue from a saved state."""
        self.trainee.network.load_state_dict(state.network)
        self.optimizer.load_state_dict(state.optimizer)
        self.average = {name: tensor.to(self.accelerator.device) for name, tensor in state.average.items()}
        if self.accelerator.is_main_process:
            self.figure.load(state.train_outputs)
        self.state = state

    def run(self, workers: int) -> None:
        """Train to the end, or until the recipe's ``early_stop``.

        Args:
            workers: Number of worker processes that make clips.

        Raises:
            KeyboardInterrupt: After Ctrl-C, once the state is saved.
            NumericalError: The loss is NaN or infinite.
        """
        records = Records(self.folder, self.state.step) if self.accelerator.is_main_process else None
        self.trainee.train_mode()
        try:
            with GentleInterrupt() as interrupt, closing(self._loader(workers)) as self.loader:
                self._run(records, interrupt)
        finally:
            if records is not None:
                records.close()

    def _loader(self, workers: int) -> ClipLoader:
        on_gpu = self.accelerator.device.type == "cuda"
        return ClipLoader(self.clips, self.division, self.state.step, workers, pin=on_gpu)

    def _run(self, records: Records | None, interrupt: GentleInterrupt) -> None:
        state, division = self.state, self.division
        self.interval, saved = Interval(), time.monotonic()
        self.loader.is_ending = lambda: interrupt.wanted
        while state.step < division.steps and not self._out_of_patience():
            try:
                self.interval.losses.append(self._step())
            except WorkerError:
                if not interrupt.wanted or division.ranks > 1:
                    raise
                self._stop(records)  # a decoder hangs
            state.step += 1
            epoch_ends = state.step % division.steps_per_epoch == 0
            save = stop = False
            if state.step % self.steps_per_row == 0 or epoch_ends:
                due = time.monotonic() - saved > self.save_seconds
                save, stop = self._report_step(records, due, interrupt.wanted)
            if epoch_ends and self._validation_is_due():
                self._end_of_epoch(records)
                save = True
            if stop:
                self._stop(records)
            if save:
                self._save(records)
                saved = time.monotonic()
                self.interval = Interval()
        if state.step < division.steps:
            epoch = state.step // division.steps_per_epoch
            self.observer.note(
                f"stopped early, after epoch {epoch} of {self.recipe.epochs}: no gain since epoch "
                f"{state.best_epoch}; to train to the end, use --set early_stop=none"
            )

    def _stop(self, records: Records | None) -> NoReturn:
        """Save and end the run."""
        self._save(records)
        self.observer.note(f"stopped at step {self.state.step} of {self.division.steps}; continue with --resume")
        raise KeyboardInterrupt

    def _step(self) -> Tensor:
        """Take one optimiser step, and return the loss of this process's part of the batch."""
        set_learning_rate(self.optimizer, self.recipe.learning_rate_at(self.state.step, self.division.steps))
        losses = []
        for part in range(self.recipe.accumulation):
            self.position.step, self.position.part = self.state.step, part
            clips, targets = self._prepared(self._next_batch())
            with self.accelerator.accumulate(self.network):
                logits = mean_logits(self.network(clips))
                logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                loss = self.loss(logits, targets)
                self.accelerator.backward(loss)
                self.optimizer.step()
                self.optimizer.zero_grad()
            self.figure.add(logits, targets)
            losses.append(loss.detach())
        if self.average:
            move_average(self.average, self.trainee.network, self.recipe.average_decay, self.state.step)
        return torch.stack(losses).mean()

    def _next_batch(self) -> ClipBatch:
        started = time.perf_counter()
        batch = next(self.loader)
        self.interval.waited += time.perf_counter() - started
        self.state.bad.update({bad.path: bad.message for bad in batch.bad})
        return batch

    def _prepared(self, batch: ClipBatch) -> tuple[Tensor, Tensor]:
        """Return clips and targets on the device, normalised, and mixed if the recipe has mixup."""
        device, rules = self.accelerator.device, self.trainee.card.preprocess
        clips = normalise(batch.clips.to(device, non_blocking=True), rules.mean, rules.std)
        targets = batch.targets.to(device, non_blocking=True)
        if not self.recipe.mixup:
            return clips, targets
        pairs = len(clips) // 2
        at = self.position
        rngs = [np.random.default_rng((at.seed, at.step, at.part, at.rank * pairs + pair)) for pair in range(pairs)]
        return mix_pairs(clips, targets, self.recipe.mixup, rngs)

    def _report_step(self, records: Records | None, due: bool, wanted: bool) -> tuple[bool, bool]:
        """Report the steps since the last row, and return whether to save and whether to stop.

        All processes return the same: if one has to save or stop, all do.

        Args:
            records: Where to write the row, in the main process.
            due: Whether it is time to save.
            wanted: Whether the user wants to stop.
        """
        state, division, interval = self.state, self.division, self.interval
        self.interval = Interval()
        own = torch.stack([torch.stack(interval.losses).mean(), *torch.tensor([due, wanted]).to(interval.losses[0])])
        loss, save, stop = self.accelerator.reduce(own, "mean").tolist()
        if not np.isfinite(loss):
            raise NumericalError(
                f"step {state.step}: the loss is NaN or infinite; try a lower learning rate (--lr "
                f"{self.recipe.learning_rate / 10:g}), or --precision fp32"
            )
        seconds = time.perf_counter() - interval.started
        state.losses.append(loss)
        row = StepRow(
            step=state.step,
            steps=division.steps,
            epoch=(state.step - 1) // division.steps_per_epoch + 1,
            loss=loss,
            learning_rate=self.recipe.learning_rate_at(state.step - 1, division.steps),
            clips_per_second=len(interval.losses) * division.batch / seconds,
            data_wait=interval.waited / seconds,
        )
        if records is not None:
            records.step(row)
            self.observer.step(row)
        return save > 0, stop > 0

    def _validation_is_due(self) -> bool:
        epoch = self.state.step // self.division.steps_per_epoch
        return epoch % self.recipe.validate_every == 0 or self.state.step == self.division.steps

    def _out_of_patience(self) -> bool:
        """Whether the last step ended with a validation, ``early_stop`` epochs or more after the best one."""
        patience, state = self.recipe.early_stop, self.state
        epoch, begun = divmod(state.step, self.division.steps_per_epoch)
        if patience is None or state.best is None or begun or not self._validation_is_due():
            return False
        return epoch - state.best_epoch >= patience

    def _end_of_epoch(self, records: Records | None) -> None:
        """Validate, write the model if it is the best so far, and report the epoch."""
        state = self.state
        epoch = state.step // self.division.steps_per_epoch
        figures, best = {}, True
        if self.validation is not None:
            evaluation = validate(self._quick_card(), self._tensors(), self.validation, self.accelerator)
            figures = known_figures(evaluation)
            value = figures.get(FIGURES[self.trainee.card.labels.kind])
            best = state.best is None or (value is not None and value >= state.best)  # the later one of equals
            if value is not None and (state.best is None or value > state.best):
                state.best, state.best_epoch = value, epoch
        if best and self.accelerator.is_main_process:
            with writing(self.folder / MODEL_FILE):
                write_checkpoint(self.folder / MODEL_FILE, self.trainee.card, self._tensors())
        self._warn_of_guessing(float(np.mean(state.losses)))
        row = EpochRow(
            step=state.step,
            epoch=epoch,
            train_loss=float(np.mean(state.losses)),
            train_figure=self.figure.take(),
            figures=figures,
            best=best,
        )
        state.losses = []
        if records is not None:
            records.epoch(row)
            self.observer.epoch(row)

    def _warn_of_guessing(self, loss: float) -> None:
        """Warn once if a quarter of the run, at least two epochs, taught the network less than guessing knows."""
        epoch = self.state.step // self.division.steps_per_epoch
        if self._warned or epoch < max(2, self.recipe.epochs // 4):
            return
        chance = chance_loss(self.clips.data, self.trainee.card.labels.kind)
        if loss >= chance:
            self._warned = True
            self.observer.note(
                f"the loss of epoch {epoch}, {loss:.3f}, is above that of guessing, {chance:.3f}: the network does not "
                "learn; try a lower learning rate (--lr), --recipe probe, or look at the labels with --check"
            )

    def _quick_card(self) -> Card:
        """Return the card with views that are enough to tell epochs apart; the whole protocol follows at the end."""
        card = self.trainee.card
        return card.with_views(min(card.sampling.clips, VALIDATION_CLIPS), 1, None)

    def _tensors(self) -> dict[str, np.ndarray]:
        """Return the weights as the model file stores them."""
        tensors = tensors_of(self.average or self.trainee.network.state_dict())
        return in_fp16(tensors) if self.recipe.store == "fp16" else tensors

    def _save(self, records: Records | None) -> None:
        """Save the state, with what each process knows by itself."""
        self.state.bad = {path: message for bad in gather_object([self.state.bad]) for path, message in bad.items()}
        self.state.train_outputs = self.figure.state()
        if records is None:
            return
        records.flush()
        self.state.network = self.trainee.network.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.state.average = self.average
        save_state(self.state, self.folder)
