"""Progress bars, counts, exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deemo_data.errors import plain

if TYPE_CHECKING:
    from deemo_data.annotation.export_file import Pulled
    from deemo_data.clip import Clip
    from deemo_data.pipeline.run import Watcher
    from deemo_data.project.problems import Problem
    from deemo_data.project.project import Project


def write_dataset(project: Project, allow_proposed: bool) -> list[Problem]:
    from deemo_data.workflow import export

    made, kept = export.export(project, allow_proposed)
    splits = ", ".join(f"{n} {split}" for split, n in made.splits.items())
    click.echo(f"{project.dataset}: {made.clips} clips ({splits}) of {made.subjects} subjects, {made.events} events, "
               f"{made.records} records, version {made.version}; {made.changed} files changed")  # fmt: skip
    click.echo(f"To look at: {project.out / 'dataset.html'}")
    for text in dict.fromkeys((*made.warnings, *made.left_out)):
        click.echo(f"  {plain(text)}", err=True)
    return kept


def say_taken(project: Project, taken: list[Clip], missing: list[Problem]) -> None:
    from deemo_data.consent import has_consent

    lacking = sum(not has_consent(s) for s in project.sources())
    click.echo(
        f"{len(taken)} sources taken in, {len(missing)} refused" + (f"; {lacking} have no consent on record" if lacking else "")
    )


def say_pulled(pulled: Pulled) -> None:
    change = pulled.change
    click.echo(f"{pulled.annotations} annotations of {pulled.tasks} tasks read: {change.added} labels new, "
               f"{change.changed} changed, {change.deleted} deleted, {change.same} as before")  # fmt: skip
    for text in pulled.problems:
        click.echo(f"  {plain(text)}", err=True)


def end(missing: Sequence[Problem], also: bool = False) -> None:
    """List what did not come out, and end with status 1 if there is any (`also`: some was listed before)."""
    for m in missing:
        click.echo(str(m), err=True)
    raise SystemExit(1 if missing or also else 0)


@contextmanager
def progress() -> Iterator[Watcher]:
    """One bar a stage for a person at a terminal, one line a stage for a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from deemo_data.pipeline.run import Watcher
    from deemo_data.pipeline.stage import table_name

    def tell(name: str, clips: int, done: int) -> None:
        click.echo(f"{table_name(name)}: {clips}" + (f", {done} of them done before" if done else ""), err=True)

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Watcher(stage=tell)
        return
    columns = [
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    begun: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def begin(name: str, clips: int, done: int) -> None:
            begun[name] = bars.add_task(table_name(name), total=clips, completed=done)

        yield Watcher(stage=begin, clip=lambda name: bars.advance(begun[name]))


@contextmanager
def counting(name: str) -> Iterator[Callable[[int], None]]:
    """A count that grows, for a person at a terminal; a log gets nothing."""
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


def opened(folder: Path) -> Project:
    """The project in a folder."""
    from deemo_data.project.project import Project

    return Project.open(folder)
