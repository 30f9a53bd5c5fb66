"""What commands print in common: results, progress bars, problems, and the exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from deemo_data.errors import to_printable_line

if TYPE_CHECKING:
    from deemo_data.annotation.pull_result import PullResult
    from deemo_data.pipeline.run import Watcher
    from deemo_data.project.problems import Problem
    from deemo_data.project.project import Project


def export_and_print(project: Project, allow_proposed: bool) -> list[Problem]:
    from deemo_data.dataset.loading import explain_loading
    from deemo_data.workflow.export import export_project

    result, problems = export_project(project, allow_proposed)
    splits = ", ".join(f"{n} {split}" for split, n in result.splits.items())
    click.echo(f"{project.dataset_dir}: {result.clips} clips ({splits}) of {result.subjects} subjects, {result.events} events, "
               f"{result.records} records, version {result.version}; {result.changed} files changed")  # fmt: skip
    click.echo(f"To look at: {project.out_dir / 'dataset.html'}")
    for text in dict.fromkeys((*result.warnings, *result.left_out, *explain_loading(project.dataset_dir))):
        click.echo(f"  {to_printable_line(text)}", err=True)
    return problems


def print_sources(lines: Sequence[str]) -> None:
    """What an ingest took in, left out and guessed: the lines that `ingest_sources` told."""
    for number, line in enumerate(lines):
        click.echo("  " * bool(number) + to_printable_line(line))


def print_notices(project: Project, level: Literal["source", "clip"]) -> None:
    """Say what was guessed, changed or left out: one line for each kind of notice about sources or clips; nothing without any."""
    from deemo_data.project.notices import REPORT_NAME, group_notices

    groups = [group for group in group_notices(project) if group.level == level]
    if groups:
        click.echo(f"Guessed, changed or left out (every line: {project.out_dir / REPORT_NAME}):", err=True)
    for group in groups:
        click.echo(f"  {to_printable_line(str(group))}", err=True)


def print_pull(pulled: PullResult) -> None:
    change = pulled.change
    click.echo(f"{pulled.annotations} annotations of {pulled.tasks} tasks read: {change.added} labels new, "
               f"{change.changed} changed, {change.deleted} deleted, {change.same} as before")  # fmt: skip
    for text in (*pulled.notices, *pulled.tally.lines(), *pulled.problems):
        click.echo(f"  {to_printable_line(text)}", err=True)


def exit_with_problems(problems: Sequence[Problem], also: bool = False) -> None:
    """Print the problems, and end the command: with status 1 if there are any, or if some were printed before (`also`)."""
    for problem in problems:
        click.echo(str(problem), err=True)
    raise SystemExit(1 if problems or also else 0)


@contextmanager
def show_progress() -> Iterator[Watcher]:
    """A progress bar per stage on a terminal; a line per stage in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from deemo_data.pipeline.run import Watcher
    from deemo_data.pipeline.stage import table_name

    def print_stage(name: str, clips: int, done: int) -> None:
        click.echo(f"{table_name(name)}: {clips}" + (f", {done} of them done before" if done else ""), err=True)

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Watcher(on_stage=print_stage)
        return
    columns = [
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    bar_of_stage: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def add_bar(name: str, clips: int, done: int) -> None:
            bar_of_stage[name] = bars.add_task(table_name(name), total=clips, completed=done)

        yield Watcher(on_stage=add_bar, on_clip=lambda name: bars.advance(bar_of_stage[name]))


@contextmanager
def show_count(name: str) -> Iterator[Callable[[int], None]]:
    """A growing count on a terminal; nothing in a log. Yields a function that is called with how many are new."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda clips: None
        return
    columns = [TextColumn("{task.description:>16}"), SpinnerColumn(), TextColumn("{task.completed} clips"), TimeElapsedColumn()]
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(name, total=None)
        yield lambda clips: bars.advance(bar, clips)


def open_project(folder: Path) -> Project:
    """Project.open, imported when it is needed."""
    from deemo_data.project.project import Project

    return Project.open(folder)
