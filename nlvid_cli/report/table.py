"""Tables for people: rank, label, score and bar, and a timeline with the best label of each clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nlvid_cli.recognize.prediction import Failure, Prediction, Result, Views
from nlvid_cli.report.console import PlainConsole, styled

if TYPE_CHECKING:
    from nlvid_cli.evaluation.evaluate import Evaluation, ScoredVideo

BAR_WIDTH = 20


class TableRenderer:
    """Prints a table per video. Colours and width follow the terminal; files and pipes get plain text."""

    def __init__(self, stream: TextIO, timeline: bool) -> None:
        self._console = PlainConsole(stream)
        self._timeline = timeline

    def add(self, result: Result, elapsed_seconds: float) -> None:
        """Print the table of one video; failures are reported on stderr instead."""
        if isinstance(result, Prediction):
            self._console.print(self._tables(result, elapsed_seconds))

    def close(self) -> None:
        """Do nothing: there is no footer."""

    def _tables(self, result: Prediction, elapsed_seconds: float) -> RenderableType:
        parts: list[RenderableType] = [_title(result)]
        if result.predictions:
            parts.append(_best_labels(result))
        if self._timeline:
            parts.append(_timeline(result))
        parts.append(styled(how_it_was_looked_at(result, elapsed_seconds), "dim"))
        parts += [styled(f"warning: {warning}", "yellow") for warning in result.warnings]
        return Group(*parts, "")


def failure_line(failure: Failure) -> str:
    """Return the line on stderr about a video that failed."""
    return f"error: {name_of(failure)}: {failure.error.message}"


def name_of(result: Result | ScoredVideo) -> str:
    """Return the path of a video, and the stretch if it is only a part of it."""
    return result.video if result.stretch is None else f"{result.video} ({result.stretch})"


def _title(result: Prediction) -> Text:
    title = styled(name_of(result), "bold")
    if result.unsure:
        title.append("  unsure: no label reaches the minimum score", style="yellow")
    if not result.predictions:
        title.append("  no label reaches the threshold", style="yellow")
    return title


def _best_labels(result: Prediction) -> Table:
    table = Table()
    table.add_column("#", justify="right", style="dim")
    table.add_column("label", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("", width=BAR_WIDTH)
    for rank, prediction in enumerate(result.predictions, start=1):
        style = "bold" if rank == 1 and not result.unsure else ""
        bar = ProgressBar(total=1.0, completed=prediction.score, width=BAR_WIDTH)
        table.add_row(str(rank), prediction.label, f"{prediction.score:.3f}", bar, style=style)
    return table


def _timeline(result: Prediction) -> Table:
    table = Table()
    table.add_column("from", justify="right")
    table.add_column("to", justify="right")
    table.add_column("label", overflow="fold")
    table.add_column("score", justify="right")
    for clip in result.clips:
        best = [(best.label, f"{best.score:.3f}") for best in clip.predictions[:1]]
        table.add_row(clock_time(clip.start_seconds), clock_time(clip.end_seconds), *(best[0] if best else ("", "")))
    return table


def how_it_was_looked_at(result: Prediction | Evaluation, elapsed_seconds: float | None = None) -> str:
    """Return model, views and backend in one line, and the time if it is known."""
    views = result.views
    clips = "1 clip" if views.clips == 1 else f"{views.clips} clips"
    crops = f" x {views.crops} crops" if views.crops > 1 else ""
    time = "" if elapsed_seconds is None else f"; {elapsed_seconds:.1f} s"
    kind = " (multi-label: any number of labels may be true)" if result.label_kind == "multi" else ""
    return (
        f"{result.model}{kind}, {clips}{crops} of {views.frames} frames, {_spacing(views)}; "
        f"{result.backend} {result.precision} on {result.device}{time}"
    )


def _spacing(views: Views) -> str:
    at = f" at {views.frame_rate:g} frames/s" if views.frame_rate else ""
    return f"step {views.step}{at}"


def clock_time(seconds: float) -> str:
    """Return a time for people: ``0:07.50``, ``1:01:11.25``."""
    seconds = round(seconds, 2)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


def plain_table(*columns: str, show_header: bool = True) -> Table:
    """Return a table for listings, without a frame; long cells are folded, not cut."""
    table = Table(box=None, show_header=show_header, header_style="bold", pad_edge=False)
    for column in columns or ("", ""):
        table.add_column(column, overflow="fold")
    return table
