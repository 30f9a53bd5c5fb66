"""Commands about footage: ingest, segment, run, speakers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.build import run_stages
from deemo_data.cli.options import CONSENT, DIR, RAY, REPLACE, WORKERS
from deemo_data.cli.output import exit_with_problems, open_project, print_notices, print_sources, show_progress
from deemo_data.errors import ConfigError, to_printable_line


@click.command("ingest")
@DIR
@click.argument("sources")
@CONSENT
@REPLACE
@click.option("--allow-local-addresses", is_flag=True, help="For tests: let http(s) sources lie on this machine or network.")
def ingest_command(project_dir: Path, sources: str, consent: str | None, replace_all: bool, allow_local_addresses: bool) -> None:
    """Take footage in: probe and hash it, record consent and licence. Nothing is copied."""
    from deemo_data.workflow.ingest import ingest_sources

    project = open_project(project_dir)
    lines: list[str] = []
    with show_progress() as watcher:
        _, problems = ingest_sources(
            project, sources, consent, allow_local=allow_local_addresses, replace_all=replace_all, watcher=watcher,
            tell=lines.append,
        )  # fmt: skip
    print_sources(lines)
    print_notices(project, "source")
    exit_with_problems(problems)


@click.command("segment")
@DIR
@WORKERS
def segment_command(project_dir: Path, workers: int) -> None:
    """Cut sources into clips: by the CSV's spans, else by speech turns and shots."""
    from deemo_data.workflow.segment import segment_sources

    with show_progress() as watcher:
        clips, problems = segment_sources(open_project(project_dir), workers=workers, watcher=watcher)
    seconds = sum(c.end_ms - c.start_ms for c in clips) / 1000
    click.echo(f"{len(clips)} clips, {seconds:.1f} s in all")
    exit_with_problems(problems)


@click.command("run")
@DIR
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option("--only", metavar="STAGE", help="Let only this stage work; of the others, use what the store has.")
@WORKERS
@RAY
def run_command(project_dir: Path, until: str | None, only: str | None, workers: int, ray: str | None) -> None:
    """Put every clip through the stages. Stop it at any moment; run it again to go on."""
    exit_with_problems(run_stages(open_project(project_dir), until, only, workers, ray))


@click.command("speakers")
@DIR
@click.argument("source", required=False)
@click.option("--count", type=int, metavar="N", help="So many speak in it; 0 leaves it to the machine again.")
@click.option("--merge", multiple=True, metavar="B=A", help="Speaker B is speaker A.")
@click.option("--role", "roles", multiple=True, metavar="A=ROLE", help="subject, interviewer or bystander.")
@click.option(
    "--turn", "turns", multiple=True, metavar="START-END=A", help="Who speaks from when to when (1:02.5-1:04=B; - is nobody)."
)
def speakers_command(
    project_dir: Path, source: str | None, count: int | None, merge: Sequence[str], roles: Sequence[str], turns: Sequence[str]
) -> None:
    """Show who speaks when in each source, and correct it; the next `deemo run` goes by what you say.

    The machine's answer is a draft: where two speak at once it tells one of them, and it may take two people for one.
    """
    from deemo_data.project.speakers import render_turns, speakers_path
    from deemo_data.stages.deidentify.assign_roles import assign_speaker_roles
    from deemo_data.workflow.speakers import list_speakers, set_speakers

    project = open_project(project_dir)
    if count is not None or merge or roles or turns:
        if source is None:
            raise ConfigError("which source is that about?", f"Type: deemo speakers {project_dir} SOURCE, with its id")
        set_speakers(project, source, count=count, merge=merge, roles=roles, turns=turns)
        click.echo(f"Noted in {speakers_path(project.root)}. Next: deemo run {project_dir}")
    for whole_source, speaker_turns in list_speakers(project):
        if source in (None, whole_source.source):
            click.echo(f"{whole_source.source}  {to_printable_line(whole_source.path('source').name)}")
            if speaker_turns is None:
                click.echo("not made yet: deemo run\n")
                continue
            roles_by_speaker = assign_speaker_roles(speaker_turns, whole_source.facts["speakers_said"])
            click.echo(render_turns(speaker_turns, roles_by_speaker, whole_source.end_ms))
