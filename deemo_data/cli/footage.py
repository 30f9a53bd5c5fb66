"""Ingest, segment, run, speakers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.build import run_stages
from deemo_data.cli.options import CONSENT, DIR, RAY, REPLACE, WORKERS
from deemo_data.cli.output import end, opened, progress, say_taken
from deemo_data.errors import ConfigError, plain


@click.command()
@DIR
@click.argument("sources")
@CONSENT
@REPLACE
@click.option("--allow-local-addresses", is_flag=True, help="For tests: let http(s) sources lie on this machine or network.")
def ingest(project: Path, sources: str, consent: str | None, replace_all: bool, allow_local_addresses: bool) -> None:
    """Take footage in: probe and hash it, record consent and licence. Nothing is copied."""
    from deemo_data.workflow import ingest as workflow_ingest

    here = opened(project)
    with progress() as watcher:
        taken, missing = workflow_ingest.ingest(
            here, sources, consent, allow_local=allow_local_addresses, replace_all=replace_all, watcher=watcher
        )
    say_taken(here, taken, missing)
    end(missing)


@click.command()
@DIR
@WORKERS
def segment(project: Path, workers: int) -> None:
    """Cut sources into clips: by the CSV's spans, else by speech turns and shots."""
    from deemo_data.workflow import segment as workflow_segment

    with progress() as watcher:
        clips, missing = workflow_segment.segment(opened(project), workers=workers, watcher=watcher)
    seconds = sum(c.end_ms - c.start_ms for c in clips) / 1000
    click.echo(f"{len(clips)} clips, {seconds:.1f} s in all")
    end(missing)


@click.command()
@DIR
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option("--only", metavar="STAGE", help="Let only this stage work; of the others, use what the store has.")
@WORKERS
@RAY
def run(project: Path, until: str | None, only: str | None, workers: int, ray: str | None) -> None:
    """Put every clip through the stages. Stop it at any moment; run it again to go on."""
    end(run_stages(opened(project), until, only, workers, ray))


@click.command()
@DIR
@click.argument("source", required=False)
@click.option("--count", type=int, metavar="N", help="So many speak in it; 0 leaves it to the machine again.")
@click.option("--merge", multiple=True, metavar="B=A", help="Speaker B is speaker A.")
@click.option("--role", "roles", multiple=True, metavar="A=ROLE", help="subject, interviewer or bystander.")
@click.option(
    "--turn", "turns", multiple=True, metavar="START-END=A", help="Who speaks from when to when (1:02.5-1:04=B; - is nobody)."
)
def speakers(
    project: Path, source: str | None, count: int | None, merge: Sequence[str], roles: Sequence[str], turns: Sequence[str]
) -> None:
    """Show who speaks when in each source, and correct it; the next `deemo run` goes by what you say.

    The machine's answer is a draft: where two speak at once it tells one of them, and it may take two people for one.
    """
    from deemo_data.project.speakers import path_in, show
    from deemo_data.stages.deidentify.assign_roles import of_speakers
    from deemo_data.workflow.speakers import list_speakers, set_speakers

    here = opened(project)
    if count is not None or merge or roles or turns:
        if source is None:
            raise ConfigError("which source is that about?", f"Type: deemo speakers {project} SOURCE, with its id")
        set_speakers(here, source, count=count, merge=merge, roles=roles, turns=turns)
        click.echo(f"Noted in {path_in(here.root)}. Next: deemo run {project}")
    for whole, heard in list_speakers(here):
        if source in (None, whole.source):
            click.echo(f"{whole.source}  {plain(whole.path('source').name)}")
            said = whole.facts["speakers_said"]
            shown = show(heard, of_speakers(heard, said), whole.end_ms) if heard is not None else "not made yet: deemo run\n"
            click.echo(shown)
