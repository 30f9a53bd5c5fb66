"""Commands that do the whole line at once: build, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deemo_data.cli.options import CONSENT, DIR, FILE, PROFILE, RAY, REPLACE, WORKERS
from deemo_data.cli.output import end, progress, say_pulled, say_taken, write_dataset
from deemo_data.errors import ConfigError, DeemoError, ProjectError

if TYPE_CHECKING:
    from deemo_data.annotation.export_file import LabelFile
    from deemo_data.project.problems import Problem
    from deemo_data.project.project import Project


@click.command()
@DIR
@click.argument("sources")
@CONSENT
@REPLACE
@PROFILE
@WORKERS
@RAY
@click.option("--labels", type=FILE, help="Bring in the labels of this Label Studio JSON export, as pull --from-file does.")
@click.option("--match", type=FILE, help="What the export's names mean: CSV name, source (docs/data.md).")
@click.option("--vocabulary", help="The vocabulary the export was labelled with: a name of ours, or a file.")
def build(
    project: Path, sources: str, consent: str | None, replace_all: bool, profile: str | None, workers: int,
    ray: str | None, labels: Path | None, match: Path | None, vocabulary: str | None,
) -> None:  # fmt: skip
    """The whole line: init, ingest, segment, run, pull of labels from a file, export, validate."""
    from deemo_data.annotation import export_file
    from deemo_data.project.project import Project
    from deemo_data.workflow import ingest

    if labels is None and (match or vocabulary):
        raise ConfigError("--match and --vocabulary are about a file of labels", "Add: --labels EXPORT.json")

    made = Project.make(project, profile)
    with progress() as watcher:
        taken, missing = ingest.ingest(made, sources, consent, replace_all=replace_all, watcher=watcher)
    say_taken(made, taken, missing)
    finish(made, missing, workers, export_file.LabelFile(labels, match, vocabulary) if labels else None, ray)


@click.command()
@DIR
@PROFILE
@WORKERS
def demo(project: Path, profile: str | None, workers: int) -> None:
    """A project made of free footage, from nothing to a dataset; see the README for what is in it."""
    from deemo_data.demo import footage
    from deemo_data.project.clips import read_sources_by_id
    from deemo_data.project.project import Project
    from deemo_data.workflow import ingest

    made = Project.make(project, profile)
    others = [s for s in read_sources_by_id(made).values() if made.private / "footage" not in s.path("source").parents]
    if others:
        raise ProjectError(f"{project} holds footage that is not the demo's", "Give SOURCES, or name another folder for the demo")
    with progress() as watcher:
        _, missing = ingest.ingest(made, str(footage.make_demo(made.private / "footage")), None, watcher=watcher)
    finish(made, missing, workers, labels=footage.LABELS)


def finish(
    project: Project, missing: list[Problem], workers: int, labels: LabelFile | None = None, ray: str | None = None
) -> None:
    """From sources to a checked dataset."""
    from deemo_data.annotation import pull
    from deemo_data.dataset.validation.dataset import validate as check
    from deemo_data.workflow import segment

    with progress() as watcher:
        clips, lost = segment.segment(project, workers=workers, ray=ray, watcher=watcher)
    click.echo(f"{len(clips)} clips")
    missing += lost + run_stages(project, None, None, workers, ray)
    for m in missing:
        click.echo(str(m), err=True)
    unread = False
    if labels is not None:
        pulled = pull.pull_from_file(project, labels.export, labels.match, labels.vocabulary)
        say_pulled(pulled)
        unread = bool(pulled.problems)
    kept = [m for m in write_dataset(project, False) if m.what not in {x.what for x in missing}]
    if wrong := [f for f in check(project.dataset) if f.level == "error"]:
        raise DeemoError(f"the dataset that was just made is not right: {wrong[0]}", "This is a fault of deemo; please report it")
    click.echo(f'To read it: datasets.load_dataset("{project.dataset}", "nfbl")')
    end(kept, also=bool(missing) or unread)


def run_stages(project: Project, until: str | None, only: str | None, workers: int, ray: str | None = None) -> list[Problem]:
    from deemo_data.pipeline import environment
    from deemo_data.workflow import run

    if set(environment.onnxruntimes()) - {"onnxruntime"}:  # a build for GPUs
        from deemo_data.models.runtime import sessions

        click.echo(f"onnxruntime runs the networks by {', then '.join(sessions.providers())}", err=True)
    with progress() as watcher:
        done, missing = run.run(project, until=until, only=only, workers=workers, ray=ray, watcher=watcher)
    click.echo(f"{len(done)} clips done, {len(missing)} not")
    return missing
