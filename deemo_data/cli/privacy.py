"""Review, audit, forget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.options import DIR, WORKERS
from deemo_data.cli.output import end, opened, progress
from deemo_data.errors import plain


@click.command()
@DIR
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On this machine; by default one that is free.")
@click.option("--open/--no-open", "opens", default=False, help="Open it in the browser.")
def review(project: Path, port: int, opens: bool) -> None:
    """For the data owner: look at masked clips, cover what was missed, withhold what must not leave."""
    from deemo_data.review.server import Door

    with Door(opened(project), port) as door:
        click.echo(f"{door.address}\nKeep this address to yourself: it shows the footage. Ctrl-C ends it.")
        if opens:
            click.launch(door.address)
        door.serve_forever()


@click.command()
@DIR
@click.option(
    "--recogniser",
    "models",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A face recogniser or detector of InsightFace's kind (.onnx); may be repeated. Mind its licence.",
)
@click.option(
    "--profiles",
    type=click.Choice(["both", "own"]),
    default="both",
    show_default=True,
    help="both: also make the other profile's masks and voices, in private/, and attack these too.",
)
@click.option(
    "--clips", "most", type=click.IntRange(0), default=10, show_default=True, help="At most so many of a subject; 0 for all."
)
@WORKERS
def audit(project: Path, models: Sequence[Path], profiles: str, most: int, workers: int) -> None:
    """Attack what was made, channel by channel; out/privacy.html says how far attackers came."""
    from deemo_data.audit import run
    from deemo_data.reports import privacy

    here = opened(project)
    with progress() as watcher:
        said, missing = run.run_audit(here, models=models, both=profiles == "both", most=most, workers=workers, watcher=watcher)
    for line in privacy.summary(said):
        click.echo(line)
    click.echo(f"{here.out / 'privacy.html'} says it all, with intervals and what it does not show")
    end(missing)


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
    from deemo_data.workflow import forget as workflow_forget

    gone = workflow_forget.forget(opened(project), subject, label_studio=not without_label_studio)
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
