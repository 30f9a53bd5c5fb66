"""Commands about what leaves the project, and whom it shows: review, audit, forget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.options import DIR, WORKERS
from deemo_data.cli.output import exit_with_problems, open_project, show_progress
from deemo_data.errors import to_printable_line


@click.command("review")
@DIR
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On this machine; by default one that is free.")
@click.option("--open/--no-open", "opens", default=False, help="Open it in the browser.")
def review_command(project_dir: Path, port: int, opens: bool) -> None:
    """For the data owner: look at masked clips, cover what was missed, withhold what must not leave."""
    from deemo_data.review.server import ReviewServer

    with ReviewServer(open_project(project_dir), port) as server:
        click.echo(f"{server.address}\nKeep this address to yourself: it shows the footage. Ctrl-C ends it.")
        if opens:
            click.launch(server.address)
        server.serve_forever()


@click.command("audit")
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
def audit_command(project_dir: Path, models: Sequence[Path], profiles: str, most: int, workers: int) -> None:
    """Attack what was made, channel by channel; out/privacy.html says how far attackers came."""
    from deemo_data.audit.run import run_audit
    from deemo_data.reports import privacy as privacy_report

    project = open_project(project_dir)
    with show_progress() as watcher:
        report, problems = run_audit(
            project, models=models, both=profiles == "both", clips_per_subject=most, workers=workers, watcher=watcher
        )
    for line in privacy_report.summarise(report):
        click.echo(line)
    click.echo(f"{project.out_dir / 'privacy.html'} says it all, with intervals and what it does not show")
    exit_with_problems(problems)


@click.command("forget")
@DIR
@click.argument("subject")
@click.option("--without-label-studio", is_flag=True, help="Leave a server that is not to be had as it is.")
@click.confirmation_option(prompt="This cannot be taken back. Go on?")
def forget_command(project_dir: Path, subject: str, without_label_studio: bool) -> None:
    """Remove one person everywhere: lists, work, labels, Label Studio, exports; then search for what is left.

    SUBJECT is a name as the CSV has it, a subject id (s-...), or the id of a source or clip: whoever is in it goes, from all
    their sources. If it was stopped, type it again. The next export says how many records went.
    """
    from deemo_data.workflow.forget import forget_person

    result = forget_person(open_project(project_dir), subject, label_studio=not without_label_studio)
    click.echo(
        f"{result.sources} sources, {result.clips} clips, {result.labels} labels removed. Next: deemo export {project_dir}"
    )
    if without_label_studio:
        click.echo("  Label Studio was not asked: what of them is there goes with the next deemo pull that reaches it", err=True)
    for path in result.outside_footage:
        click.echo(f"  yours to delete: {to_printable_line(path)}")
    for name in result.short_names:
        click.echo(f"  not looked for, too short: {to_printable_line(name)}", err=True)
    for path in result.leftovers:
        click.echo(f"  still found in {to_printable_line(path)}", err=True)
    raise SystemExit(1 if result.leftovers else 0)
