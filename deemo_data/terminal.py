"""What the commands say at the terminal: progress, counts, and what did not come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deemo_data.errors import DeemoError, plain

if TYPE_CHECKING:
    from deemo_data.build import Labels, Missing
    from deemo_data.clip import Clip
    from deemo_data.config import Project
    from deemo_data.label_export import Pulled
    from deemo_data.pipeline import Watcher


def finish(project: Project, missing: list[Missing], workers: int, labels: Labels | None = None, ray: str | None = None) -> None:
    """From sources to a checked dataset."""
    from deemo_data import build as line
    from deemo_data import label_pull
    from deemo_data.validate import validate as check

    with progress() as watcher:
        clips, lost = line.cut(project, workers=workers, ray=ray, watcher=watcher)
    click.echo(f"{len(clips)} clips")
    missing += lost + run_stages(project, None, None, workers, ray)
    for m in missing:
        click.echo(str(m), err=True)
    unread = False
    if labels is not None:
        pulled = label_pull.pull_from_file(project, labels.export, labels.match, labels.vocabulary)
        say_pulled(pulled)
        unread = bool(pulled.problems)
    kept = [m for m in write_dataset(project, False) if m.what not in {x.what for x in missing}]
    if wrong := [f for f in check(project.dataset) if f.level == "error"]:
        raise DeemoError(f"the dataset that was just made is not right: {wrong[0]}", "This is a fault of deemo; please report it")
    click.echo(f'To read it: datasets.load_dataset("{project.dataset}", "nfbl")')
    end(kept, also=bool(missing) or unread)


def run_stages(project: Project, until: str | None, only: str | None, workers: int, ray: str | None = None) -> list[Missing]:
    from deemo_data import build as line
    from deemo_data import store

    if set(store.onnxruntimes()) - {"onnxruntime"}:  # a build for GPUs
        from deemo_data.models import runtime

        click.echo(f"onnxruntime runs the networks by {', then '.join(runtime.providers())}", err=True)
    with progress() as watcher:
        done, missing = line.run(project, until=until, only=only, workers=workers, ray=ray, watcher=watcher)
    click.echo(f"{len(done)} clips done, {len(missing)} not")
    return missing


def write_dataset(project: Project, allow_proposed: bool) -> list[Missing]:
    from deemo_data import build as line

    made, kept = line.give_out(project, allow_proposed)
    splits = ", ".join(f"{n} {split}" for split, n in made.splits.items())
    click.echo(f"{project.dataset}: {made.clips} clips ({splits}) of {made.subjects} subjects, {made.events} events, "
               f"{made.records} records, version {made.version}; {made.changed} files changed")  # fmt: skip
    click.echo(f"To look at: {project.out / 'dataset.html'}")
    for text in dict.fromkeys((*made.warnings, *made.left_out)):
        click.echo(f"  {plain(text)}", err=True)
    return kept


def say_taken(project: Project, taken: list[Clip], missing: list[Missing]) -> None:
    from deemo_data.release import has_consent

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


def end(missing: Sequence[Missing], also: bool = False) -> None:
    """List what did not come out, and end with status 1 if there is any (`also`: some was listed before)."""
    for m in missing:
        click.echo(str(m), err=True)
    raise SystemExit(1 if missing or also else 0)


@contextmanager
def progress() -> Iterator[Watcher]:
    """One bar a stage for a person at a terminal, one line a stage for a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from deemo_data.config import table_name
    from deemo_data.pipeline import Watcher

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
    from deemo_data.config import Project

    return Project.open(folder)
