"""The loop: forward, backward, step, and now and then validate and save.

Hugging Face Accelerate brings devices, precision, accumulation and several processes; what a step computes does not
depend on the number of processes.
"""

from __future__ import annotations

import math
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

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.errors import NumericalError, WorkerError
from nlvid_cli.evaluation.evaluate import Evaluation
from nlvid_cli.models.model_file import in_fp16, write_checkpoint
from nlvid_cli.network.head import mean_logits
from nlvid_cli.system.interrupts import GentleInterrupt
from nlvid_cli.training.augment import mix_pairs, normalise
from nlvid_cli.training.division import Division
from nlvid_cli.training.figures import TrainFigure
from nlvid_cli.training.global_batch import Place, use_global_batch
from nlvid_cli.training.loader import Batch, Batches, ClipDataset
from nlvid_cli.training.losses import make_loss
from nlvid_cli.training.model import Trainee, tensors_of
from nlvid_cli.training.observer import EpochRow, Observer, StepRow
from nlvid_cli.training.optimizer import make_optimizer, move_average, set_learning_rate, start_average
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.records import Records
from nlvid_cli.training.state import RunState, save_state
from nlvid_cli.training.validation import FIGURES, validate
from nlvid_cli.training.writing import writing

MODEL_FILE = "model.safetensors"
"""Name of the trained model in the folder of a run: the best by validation, or else the last."""

READ_EVERY = {"cuda": 10}
"""Steps from one reading of the loss to the next, by device: a GPU would have to wait each time. Elsewhere: 1."""


@dataclass
class Since:
    """What happened since the last row was told."""

    started: float = field(default_factory=time.perf_counter)
    waited: float = 0.0
    losses: list[Tensor] = field(default_factory=list)


class Loop:
    """A run, from the step it is at to its end.

    Args:
        trainee: the network.
        recipe: how it is trained.
        dataset: the training clips.
        validation: videos to validate on; None: none.
        division: who looks at what when.
        accelerator: device, precision and processes.
        folder: of the run.
        observer: is told how it goes; only in the main process.
        save_seconds: from one saved state to the next.
    """

    def __init__(
        self,
        trainee: Trainee,
        recipe: Recipe,
        dataset: ClipDataset,
        validation: DataSet | None,
        division: Division,
        accelerator: Accelerator,
        folder: Path,
        observer: Observer,
        save_seconds: float,
    ) -> None:
        self.trainee, self.recipe, self.dataset, self.validation = trainee, recipe, dataset, validation
        self.division, self.accelerator, self.folder = division, accelerator, folder
        self.observer, self.save_seconds = observer, save_seconds
        kind = trainee.card.labels.kind
        self.loss = make_loss(recipe, dataset.data, kind)
        self.figure = TrainFigure(kind, len(dataset.data.classes), accelerator.device)
        self.place = Place(division.seed, rank=division.rank, ranks=division.ranks)
        on_gpu = accelerator.device.type == "cuda"
        use_global_batch(trainee.network, self.place, recipe.dropout, trainee.frozen, on_gpu)
        # channels last: the convolutions of CPUs and tensor cores are up to twice as fast so
        self.network = accelerator.prepare_model(trainee.network.to(memory_format=torch.channels_last_3d))
        self.optimizer = accelerator.prepare_optimizer(make_optimizer(trainee, recipe))
        self.average = start_average(trainee.network) if recipe.average_decay else {}
        self.state = RunState(0, {}, {}, {}, None, 0, [], {}, {})
        self.read_every = READ_EVERY.get(accelerator.device.type, 1)

    def resume(self, state: RunState) -> None:
        """Go on where a saved state was."""
        self.trainee.network.load_state_dict(state.network)
        self.optimizer.load_state_dict(state.optimizer)
        self.average = {name: tensor.to(self.accelerator.device) for name, tensor in state.average.items()}
        if self.accelerator.is_main_process:
            self.figure.load(state.train_figures)
        self.state = state

    def run(self, workers: int) -> None:
        """Train to the end, or until patience ends.

        Raises:
            KeyboardInterrupt: on Ctrl-C, when the state is saved.
            NumericalError: the loss is not a number.
        """
        records = Records(self.folder, self.state.step) if self.accelerator.is_main_process else None
        self.trainee.train_mode()
        try:
            with GentleInterrupt() as interrupt, closing(self._batches(workers)) as self.batches:
                self._run(records, interrupt)
        finally:
            if records is not None:
                records.close()

    def _batches(self, workers: int) -> Batches:
        on_gpu = self.accelerator.device.type == "cuda"
        return Batches(self.dataset, self.division, self.state.step, workers, pin=on_gpu)

    def _run(self, records: Records | None, interrupt: GentleInterrupt) -> None:
        state, division = self.state, self.division
        self.since, saved = Since(), time.monotonic()
        while state.step < division.steps and not self._out_of_patience():
            try:
                self.since.losses.append(self._step())
            except WorkerError:
                if not interrupt.wanted or division.ranks > 1:
                    raise
                self._stop(records)  # what sent the interrupt has taken the workers
            state.step += 1
            epoch_ends = state.step % division.steps_per_epoch == 0
            save = stop = False
            if state.step % self.read_every == 0 or epoch_ends:
                due = time.monotonic() - saved > self.save_seconds
                save, stop = self._tell_step(records, due, interrupt.wanted)
            if epoch_ends and self._validation_is_due():
                self._end_of_epoch(records)
                save = True
            if stop:
                self._stop(records)
            if save:
                self._save(records)
                saved = time.monotonic()
                self.since = Since()
        if state.step < division.steps:
            epoch = state.step // division.steps_per_epoch
            self.observer.note(
                f"ended early, after epoch {epoch} of {self.recipe.epochs}: nothing was gained since epoch "
                f"{state.best_epoch}; --set early_stop=none trains to the end"
            )

    def _stop(self, records: Records | None) -> NoReturn:
        """Save, and come to an end."""
        self._save(records)
        self.observer.note(f"stopped at step {self.state.step} of {self.division.steps}; --resume goes on from there")
        raise KeyboardInterrupt

    def _next(self) -> Batch:
        started = time.perf_counter()
        batch = next(self.batches)
        self.since.waited += time.perf_counter() - started
        self.state.bad.update({bad.path: bad.message for bad in batch.bad})
        return batch

    def _step(self) -> Tensor:
        """One step of the optimiser; returns the loss of this process's part of the batch."""
        set_learning_rate(self.optimizer, self.recipe.learning_rate_at(self.state.step, self.division.steps))
        losses = []
        for part in range(self.recipe.accumulation):
            self.place.step, self.place.part = self.state.step, part
            clips, targets = self._prepared(self._next())
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

    def _prepared(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Clips and targets on the device, normalised, and mixed if the recipe says so."""
        device, rules = self.accelerator.device, self.trainee.card.preprocess
        clips = normalise(batch.clips.to(device, non_blocking=True), rules.mean, rules.std)
        targets = batch.targets.to(device, non_blocking=True)
        if not self.recipe.mixup:
            return clips, targets
        pairs = len(clips) // 2
        place = self.place
        key = (place.seed, place.step, place.part)
        rngs = [np.random.default_rng((*key, place.rank * pairs + pair)) for pair in range(pairs)]
        return mix_pairs(clips, targets, self.recipe.mixup, rngs)

    def _tell_step(self, records: Records | None, due: bool, wanted: bool) -> tuple[bool, bool]:
        """Write down what happened since the last row; tells whether to save, and whether to stop.

        All processes come to the same answers: one that has to save or stop makes the others do so.
        """
        state, division, since = self.state, self.division, self.since
        self.since = Since()
        mine = torch.stack([torch.stack(since.losses).mean(), *torch.tensor([due, wanted]).to(since.losses[0])])
        loss, save, stop = self.accelerator.reduce(mine, "mean").tolist()
        if not np.isfinite(loss):
            raise NumericalError(
                f"step {state.step}: the loss is no number; try a lower learning rate (--lr "
                f"{self.recipe.learning_rate / 10:g}), or --precision fp32"
            )
        seconds = time.perf_counter() - since.started
        state.losses.append(loss)
        row = StepRow(
            step=state.step,
            steps=division.steps,
            epoch=(state.step - 1) // division.steps_per_epoch + 1,
            loss=loss,
            learning_rate=self.recipe.learning_rate_at(state.step - 1, division.steps),
            clips_per_second=len(since.losses) * division.batch / seconds,
            data_wait=since.waited / seconds,
        )
        if records is not None:
            records.step(row)
            self.observer.step(row)
        return save > 0, stop > 0

    def _validation_is_due(self) -> bool:
        epoch = self.state.step // self.division.steps_per_epoch
        return epoch % self.recipe.validate_every == 0 or self.state.step == self.division.steps

    def _out_of_patience(self) -> bool:
        """Whether the validation that was made just now was too long after the best one."""
        patience, state = self.recipe.early_stop, self.state
        epoch, begun = divmod(state.step, self.division.steps_per_epoch)
        if patience is None or state.best is None or begun or not self._validation_is_due():
            return False
        return epoch - state.best_epoch >= patience

    def _end_of_epoch(self, records: Records | None) -> None:
        """Validate, keep the weights if they are the best so far, and write down the figures."""
        state = self.state
        epoch = state.step // self.division.steps_per_epoch
        figures, best = {}, True
        if self.validation is not None:
            evaluation = self._validate(self.validation)
            figures = {name: value for name, value in evaluation.figures.items() if not math.isnan(value)}
            value = figures.get(FIGURES[self.trainee.card.labels.kind])
            best = state.best is None or (value is not None and value >= state.best)  # of equal ones the later
            if value is not None and (state.best is None or value > state.best):
                state.best, state.best_epoch = value, epoch
        if best and self.accelerator.is_main_process:
            with writing(self.folder / MODEL_FILE):
                write_checkpoint(self.folder / MODEL_FILE, self.trainee.card, self._tensors())
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

    def _validate(self, data: DataSet) -> Evaluation:
        device, division = str(self.accelerator.device), self.division
        return validate(self.trainee.card, self._tensors(), data, device, division.rank, division.ranks)

    def _tensors(self) -> dict[str, np.ndarray]:
        """Weights as they are stored."""
        tensors = tensors_of(self.average or self.trainee.network.state_dict())
        return in_fp16(tensors) if self.recipe.store == "fp16" else tensors

    def _save(self, records: Records | None) -> None:
        """Write the state; what the processes know apart is brought together for it."""
        if self.division.ranks > 1:
            known = gather_object([self.state.bad])
            self.state.bad = {path: message for bad in known for path, message in bad.items()}
        self.state.train_figures = self.figure.state()
        if records is None:
            return
        records.flush()
        self.state.network = self.trainee.network.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.state.average = self.average
        save_state(self.state, self.folder)
