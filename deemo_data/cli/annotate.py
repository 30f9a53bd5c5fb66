"""Label-studio, templates, push, pull, agree, moments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.options import DIR, NEW_FILE
from deemo_data.cli.output import counting, end, opened, say_pulled
from deemo_data.errors import ConfigError


@click.command(name="label-studio")
@DIR
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="On this machine only.")
@click.option("--annotator", "emails", multiple=True, metavar="EMAIL", help="Make an account for somebody; may be repeated.")
@click.option(
    "--group", type=click.Choice(["label", "adjudicate"]), default="label", show_default=True, help="Which group they belong to."
)
def label_studio(project: Path, port: int, emails: Sequence[str], group: str) -> None:
    """Run Label Studio for this project, at 127.0.0.1; it sees nothing but out/released.

    With --annotator it makes accounts instead, while the server runs (in another terminal), and says their passwords once.
    """
    from deemo_data.annotation.label_studio import local_server

    here = opened(project)
    if emails:
        for email in emails:
            account = local_server.add_annotator(here, email, group)
            click.echo(f"{email} ({group}): password {account['password']}")
        click.echo(f"Tell each their own, with the page that `deemo push {project}` names")
        return
    local_server.serve(here, port, say=click.echo)


@click.command()
@DIR
@click.option("--to", "folder", type=NEW_FILE, help="Write the pages and their guides into this folder.")
@click.option("--install", is_flag=True, help="Set our keys in Label Studio, for each of private/annotators.csv.")
def templates(project: Path, folder: Path | None, install: bool) -> None:
    """Make the annotators' pages from the project's vocabularies, and check them."""
    from deemo_data.annotation.label_studio import workspace
    from deemo_data.annotation.push import write_templates

    here = opened(project)
    made = write_templates(here, folder or here.out / "templates")
    click.echo(f"{len(made)} files in {folder or here.out / 'templates'}: pages, guides and keys; no fault found")
    if install:
        done, without = workspace.install_keys(here)
        click.echo(f"Our keys are set for {done} annotators and for you")
        for email in without:
            click.echo(f"  {email}: has no account in Label Studio", err=True)
        raise SystemExit(1 if without else 0)


@click.command()
@DIR
@click.option(
    "--template", metavar="T", default="nfbl_timeline", show_default=True, help="Or clip_review, mer_clues, or your own."
)
@click.option("--adjudicate", is_flag=True, help="Send the clips that the first group disagrees about to the second.")
@click.option("--to-file", type=NEW_FILE, help="Write Label Studio's import JSON here instead.")
def push(project: Path, template: str, adjudicate: bool, to_file: Path | None) -> None:
    """Hand released clips to annotators. Those that are there already stay as they are."""
    from deemo_data.annotation import push as annotation_push
    from deemo_data.annotation.push import push_to_file

    here, template = opened(project), "adjudicate" if adjudicate else template
    if to_file is not None:
        count, kept = push_to_file(here, to_file, template)
        click.echo(f"{count} clips written to {to_file}; import it in Label Studio")
        end(kept)
    with counting("push") as watch:
        handed, kept = annotation_push.push(here, template, watch)
    if adjudicate and not handed.new + handed.there_before:
        click.echo("Nothing is in dispute: no two people who saw the same clip disagree")
        end(kept)
    about = f", {handed.with_proposals} with proposals" if template == "nfbl_timeline" and handed.new else ""
    click.echo(f"{handed.new} clips pushed{about}; {handed.there_before} were there. Annotators open {handed.page}")
    if handed.gone:
        click.echo(
            f"  {len(handed.gone)} clips there are not among those that may be shown; deemo pull takes out what must go", err=True
        )
    end(kept)


@click.command()
@DIR
@click.option("--from-file", type=click.Path(path_type=Path, exists=True), help="Read a Label Studio JSON export instead.")
@click.option(
    "--match", type=click.Path(path_type=Path, exists=True), help="For an export that is not of our clips: CSV name, source."
)
@click.option("--vocabulary", help="The vocabulary that such an export was labelled with: a name of ours, or a file.")
def pull(project: Path, from_file: Path | None, match: Path | None, vocabulary: str | None) -> None:
    """Bring back what annotators handed in, into labels/. Again and again: only what is new is read."""
    from deemo_data.annotation import pull as annotation_pull
    from deemo_data.annotation.pull import pull_from_file

    here = opened(project)
    if from_file is not None:
        pulled = pull_from_file(here, from_file, match, vocabulary)
    elif match or vocabulary:
        raise ConfigError("--match and --vocabulary are about a file", "Add: --from-file EXPORT.json")
    else:
        with counting("pull") as watch:
            pulled = annotation_pull.pull(here, watch)
    say_pulled(pulled)
    raise SystemExit(1 if pulled.problems else 0)


@click.command()
@DIR
@click.option("--rounds", type=click.IntRange(0), default=1000, show_default=True, help="Of the bootstrap, for the intervals.")
def agree(project: Path, rounds: int) -> None:
    """How far annotators agree, per class and overall, against chance; out/agreement.html shows where they do not."""
    from deemo_data.annotation import agree as annotation_agree
    from deemo_data.reports import agreement

    here = opened(project)
    for line in agreement.summary(annotation_agree.agree(here, rounds)):
        click.echo(line)
    click.echo(
        f"{here.out / 'agreement.html'} shows it, clip by clip where they disagree. Next: deemo push {project} --adjudicate"
    )


@click.command()
@DIR
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="How many to show here.")
def moments(project: Path, most: int) -> None:
    """Rank clips by signs of strong emotion (words, voice, movement, body language), each against what is usual for that
    person; writes out/moments.json. People decide: deemo push DIR --template clip_review.
    """
    from rich.console import Console
    from rich.table import Table

    from deemo_data.annotation import drafts

    found, kept = drafts.moments_of(opened(project), lambda line: click.echo(line, err=True))
    table = Table("", "clip", "score", "candidate", "why", box=None)
    for m in found[:most]:
        table.add_row(str(m.rank), m.clip, f"{m.score:.2f}", "yes" if m.candidate else "", m.why)
    Console().print(table)
    click.echo(
        f"{sum(m.candidate for m in found)} of {len(found)} are candidates. Next: deemo push {project} --template clip_review"
    )
    end(kept)
