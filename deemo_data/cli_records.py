"""The commands around records: moments, convert, forget."""

from __future__ import annotations

from pathlib import Path

import click

from deemo_data.convert_formats import FORMATS
from deemo_data.errors import plain
from deemo_data.terminal import end, opened

DIR = click.argument("project", metavar="DIR", type=click.Path(path_type=Path))


@click.command()
@DIR
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="How many to show here.")
def moments(project: Path, most: int) -> None:
    """Rank clips by signs of strong emotion (words, voice, movement, body language), each against what is usual for that
    person; writes out/moments.json. People decide: deemo push DIR --template clip_review.
    """
    from rich.console import Console
    from rich.table import Table

    from deemo_data import annotate

    found, kept = annotate.moments_of(opened(project), lambda line: click.echo(line, err=True))
    table = Table("", "clip", "score", "candidate", "why", box=None)
    for m in found[:most]:
        table.add_row(str(m.rank), m.clip, f"{m.score:.2f}", "yes" if m.candidate else "", m.why)
    Console().print(table)
    click.echo(
        f"{sum(m.candidate for m in found)} of {len(found)} are candidates. Next: deemo push {project} --template clip_review"
    )
    end(kept)


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--to", "to", type=click.Choice(list(FORMATS)), required=True, help="merr: Emotion-LLaMA; emer: AffectGPT.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder, or one made so before."
)
@click.option("--no-link", is_flag=True, help="Name the videos where they lie, instead of linking or copying them.")
@click.option("--force", is_flag=True, help="Convert a dataset with errors too.")
def convert(dataset: Path, to: str, out: Path, no_link: bool, force: bool) -> None:
    """Convert a dataset to a record format of another project, and check the result as that project reads it.

    Exit status 1 when something would go wrong there. docs/data.md says what each format loses.
    """
    from deemo_data.convert import convert as write

    made = write(dataset, to, out, link=not no_link, force=force)
    splits = ", ".join(f"{n} {split}" for split, n in made.splits.items())
    click.echo(f"{out}: {made.records} records ({splits}), {made.videos} videos; {made.changed} files changed")
    for why, count in made.left_out.items():
        click.echo(f"  {count} records are not in it: {why}", err=True)
    for line in (*made.notes, *made.faults):
        click.echo(f"  {plain(line)}", err=True)
    raise SystemExit(1 if made.faults else 0)


@click.command()
@DIR
@click.argument("subject")
@click.option("--without-label-studio", is_flag=True, help="Leave a server that is not to be had as it is.")
@click.confirmation_option(prompt="This cannot be taken back. Go on?")
def forget(project: Path, subject: str, without_label_studio: bool) -> None:
    """Remove one person everywhere: lists, work, labels, Label Studio, exports; then search for what is left.

    SUBJECT is a name as the CSV has it, a subject id (s-...), or the id of a source or clip: whoever is in it goes, from all
    their sources. If it was stopped, type it again. The next export says how many records went.
    """
    from deemo_data import forget as removal

    gone = removal.forget(opened(project), subject, label_studio=not without_label_studio)
    click.echo(f"{gone.sources} sources, {gone.clips} clips, {gone.labels} labels removed. Next: deemo export {project}")
    if without_label_studio:
        click.echo("  Label Studio was not asked: what of them is there goes with the next deemo pull that reaches it", err=True)
    for path in gone.footage:
        click.echo(f"  yours to delete: {plain(path)}")
    for name in gone.short:
        click.echo(f"  not looked for, too short: {plain(name)}", err=True)
    for path in gone.left:
        click.echo(f"  still found in {plain(path)}", err=True)
    raise SystemExit(1 if gone.left else 0)


COMMANDS = (moments, convert, forget)
