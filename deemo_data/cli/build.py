"""Commands that do the whole line at once: build, demo.

Both make a project, ingest, and then call `finish_build`, which does the steps from segment to validate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deemo_data.cli.options import CONSENT, DIR, EXISTING_FILE, PROFILE, RAY, REPLACE, WORKERS
from deemo_data.cli.output import exit_with_problems, export_and_print, print_notices, print_pull, print_sources, show_progress
from deemo_data.errors import ConfigError, DeemoError, ProjectError

if TYPE_CHECKING:
    from deemo_data.annotation.export_file import LabelFile
    from deemo_data.project.problems import Problem
    from deemo_data.project.project import Project


@click.command("build")
@DIR
@click.argument("sources")
@CONSENT
@REPLACE
@PROFILE
@WORKERS
@RAY
@click.option(
    "--labels", type=EXISTING_FILE, help="Bring in the labels of this Label Studio JSON export, as pull --from-file does."
)
@click.option("--match", type=EXISTING_FILE, help="What the export's names mean: CSV name, source (docs/data.md).")
@click.option("--vocabulary", help="The vocabulary the export was labelled with: a name of ours, or a file.")
def build_command(
    project_dir: Path, sources: str, consent: str | None, replace_all: bool, profile: str | None, workers: int,
    ray: str | None, labels: Path | None, match: Path | None, vocabulary: str | None,
) -> None:  # fmt: skip
    """The whole line: init, ingest, segment, run, pull of labels from a file, export, validate."""
    from deemo_data.annotation import export_file
    from deemo_data.project.project import Project
    from deemo_data.workflow.ingest import ingest_sources

    if labels is None and (match or vocabulary):
        raise ConfigError("--match and --vocabulary are about a file of labels", "Add: --labels EXPORT.json")
    if labels is not None:
        export_file.read_vocabulary(labels, match, vocabulary)  # so that it is refused now, and not after hours of work

    project = Project.make(project_dir, profile)
    lines: list[str] = []
    with show_progress() as watcher:
        _, problems = ingest_sources(project, sources, consent, replace_all=replace_all, watcher=watcher, tell=lines.append)
    print_sources(lines)
    print_notices(project, "source")
    finish_build(project, problems, workers, export_file.LabelFile(labels, match, vocabulary) if labels else None, ray)


@click.command("demo")
@DIR
@PROFILE
@WORKERS
def demo_command(project_dir: Path, profile: str | None, workers: int) -> None:
    """A project made of free footage, from nothing to a dataset; see the README for what is in it."""
    from deemo_data.demo import footage
    from deemo_data.project.clips import read_sources_by_id
    from deemo_data.project.project import Project
    from deemo_data.workflow.ingest import ingest_sources

    project = Project.make(project_dir, profile)
    others = [s for s in read_sources_by_id(project).values() if project.private_dir / "footage" not in s.path("source").parents]
    if others:
        raise ProjectError(
            f"{project_dir} holds footage that is not the demo's", "Give SOURCES, or name another folder for the demo"
        )
    with show_progress() as watcher:
        _, problems = ingest_sources(project, str(footage.make_demo(project.private_dir / "footage")), None, watcher=watcher)
    finish_build(project, problems, workers, labels=footage.LABEL_FILE)


def finish_build(
    project: Project, problems: list[Problem], workers: int, labels: LabelFile | None = None, ray: str | None = None
) -> None:
    """From sources to a validated dataset; ends the command with its exit status.

    problems  those of ingest, which the steps here add to
    """
    from deemo_data.annotation.export_file import pull_from_file
    from deemo_data.dataset.loading import render_loading_call
    from deemo_data.dataset.validation.dataset import validate_dataset
    from deemo_data.workflow.segment import segment_sources

    with show_progress() as watcher:
        clips, uncut = segment_sources(project, workers=workers, ray=ray, watcher=watcher)
    click.echo(f"{len(clips)} clips")
    problems += uncut + run_stages(project, None, None, workers, ray)
    for problem in problems:
        click.echo(str(problem), err=True)
    labels_unread = False
    if labels is not None:
        pulled = pull_from_file(project, labels.export, labels.match, labels.vocabulary)
        print_pull(pulled)
        labels_unread = bool(pulled.problems)
    withheld = [p for p in export_and_print(project, False) if p.what not in {x.what for x in problems}]
    if errors := [f for f in validate_dataset(project.dataset_dir) if f.level == "error"]:
        raise DeemoError(
            f"the dataset that was just made is not right: {errors[0]}", "This is a fault of deemo; please report it"
        )
    if call := render_loading_call(project.dataset_dir):
        click.echo(f"To read it: {call}")
    exit_with_problems(withheld, also=bool(problems) or labels_unread)


def run_stages(project: Project, until: str | None, only: str | None, workers: int, ray: str | None = None) -> list[Problem]:
    """The step `run` with its progress bars; the problems."""
    from deemo_data.pipeline import environment
    from deemo_data.workflow.run import run_project

    if set(environment.onnxruntime_versions()) - {"onnxruntime"}:  # a build for GPUs
        from deemo_data.models.runtime import sessions

        click.echo(f"onnxruntime runs the networks by {', then '.join(sessions.choose_providers())}", err=True)
    with show_progress() as watcher:
        done, problems = run_project(project, until=until, only=only, workers=workers, ray=ray, watcher=watcher)
    click.echo(f"{len(done)} clips done, {len(problems)} not")
    print_notices(project, "clip")
    return problems
