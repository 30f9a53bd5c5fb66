"""Commands around annotation: label-studio, templates, push, pull, agree, moments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deemo_data.cli.options import DIR, NEW_FILE
from deemo_data.cli.output import exit_with_problems, open_project, print_pull, show_count
from deemo_data.errors import ConfigError


@click.command("label-studio")
@DIR
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="On this machine only.")
@click.option("--annotator", "emails", multiple=True, metavar="EMAIL", help="Make an account for somebody; may be repeated.")
@click.option(
    "--group", type=click.Choice(["label", "adjudicate"]), default="label", show_default=True, help="Which group they belong to."
)
def label_studio_command(project_dir: Path, port: int, emails: Sequence[str], group: str) -> None:
    """Run Label Studio for this project, at 127.0.0.1; it sees nothing but out/released.

    With --annotator it makes accounts instead, while the server runs (in another terminal), and says their passwords once.
    """
    from deemo_data.annotation.label_studio import local_server

    project = open_project(project_dir)
    if emails:
        for email in emails:
            account = local_server.add_annotator(project, email, group)
            click.echo(f"{email} ({group}): password {account['password']}")
        click.echo(f"Tell each their own, with the page that `deemo push {project_dir}` names")
        return
    local_server.run_server(project, port, on_line=click.echo)


@click.command("templates")
@DIR
@click.option("--to", "folder", type=NEW_FILE, help="Write the pages and their guides into this folder.")
@click.option("--install", is_flag=True, help="Set our keys in Label Studio, for each of private/annotators.csv.")
def templates_command(project_dir: Path, folder: Path | None, install: bool) -> None:
    """Make the annotators' pages from the project's vocabularies, and check them."""
    from deemo_data.annotation.label_studio import workspace
    from deemo_data.annotation.project_pages import write_project_templates

    project = open_project(project_dir)
    paths = write_project_templates(project, folder or project.out_dir / "templates")
    click.echo(f"{len(paths)} files in {folder or project.out_dir / 'templates'}: pages, guides and keys; no fault found")
    if install:
        count, without_account = workspace.install_hotkeys(project)
        click.echo(f"Our keys are set for {count} annotators and for you")
        for email in without_account:
            click.echo(f"  {email}: has no account in Label Studio", err=True)
        raise SystemExit(1 if without_account else 0)


@click.command("push")
@DIR
@click.option(
    "--template", metavar="T", default="nfbl_timeline", show_default=True, help="Or clip_review, mer_clues, or your own."
)
@click.option("--adjudicate", is_flag=True, help="Send the clips that the first group disagrees about to the second.")
@click.option("--to-file", type=NEW_FILE, help="Write Label Studio's import JSON here instead.")
def push_command(project_dir: Path, template: str, adjudicate: bool, to_file: Path | None) -> None:
    """Hand released clips to annotators. Those that are there already stay as they are."""
    from deemo_data.annotation.push import push, push_to_file

    project, template = open_project(project_dir), "adjudicate" if adjudicate else template
    if to_file is not None:
        count, problems = push_to_file(project, to_file, template)
        click.echo(f"{count} clips written to {to_file}; import it in Label Studio")
        exit_with_problems(problems)
    with show_count("push") as watch:
        result, problems = push(project, template, watch)
    if adjudicate and not result.new + result.already_there:
        click.echo("Nothing is in dispute: no two people who saw the same clip disagree")
        exit_with_problems(problems)
    about = f", {result.with_proposals} with proposals" if template == "nfbl_timeline" and result.new else ""
    click.echo(f"{result.new} clips pushed{about}; {result.already_there} were there. Annotators open {result.page}")
    if result.not_released:
        click.echo(
            f"  {len(result.not_released)} clips there are not among those that may be shown; deemo pull takes out what must go",
            err=True,
        )
    exit_with_problems(problems)


@click.command("pull")
@DIR
@click.option("--from-file", type=click.Path(path_type=Path, exists=True), help="Read a Label Studio JSON export instead.")
@click.option(
    "--match", type=click.Path(path_type=Path, exists=True), help="For an export that is not of our clips: CSV name, source."
)
@click.option("--vocabulary", help="The vocabulary that such an export was labelled with: a name of ours, or a file.")
def pull_command(project_dir: Path, from_file: Path | None, match: Path | None, vocabulary: str | None) -> None:
    """Bring back what annotators handed in, into labels/. Again and again: only what is new is read."""
    from deemo_data.annotation.export_file import pull_from_file
    from deemo_data.annotation.pull import pull

    project = open_project(project_dir)
    if from_file is not None:
        pulled = pull_from_file(project, from_file, match, vocabulary)
    elif match or vocabulary:
        raise ConfigError("--match and --vocabulary are about a file", "Add: --from-file EXPORT.json")
    else:
        with show_count("pull") as watch:
            pulled = pull(project, watch)
    print_pull(pulled)
    raise SystemExit(1 if pulled.problems else 0)


@click.command("agree")
@DIR
@click.option("--rounds", type=click.IntRange(0), default=1000, show_default=True, help="Of the bootstrap, for the intervals.")
def agree_command(project_dir: Path, rounds: int) -> None:
    """How far annotators agree, per class and overall, against chance; out/agreement.html shows where they do not."""
    from deemo_data.annotation.agree import measure_agreement
    from deemo_data.reports import agreement as agreement_report

    project = open_project(project_dir)
    report = measure_agreement(project, rounds)
    for line in agreement_report.summarise(report):
        click.echo(line)
    next_step = agreement_report.describe_next_step(report, str(project_dir))
    click.echo(f"{project.out_dir / 'agreement.html'} shows it, clip by clip where they disagree. {next_step}")


@click.command("moments")
@DIR
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="How many to show here.")
def moments_command(project_dir: Path, most: int) -> None:
    """Rank clips by signs of strong emotion (words, voice, movement, body language), each against what is usual for that
    person; writes out/moments.json. People decide: deemo push DIR --template clip_review.
    """
    from rich.console import Console
    from rich.table import Table

    from deemo_data.annotation import drafts

    moments, problems = drafts.find_moments(open_project(project_dir), lambda line: click.echo(line, err=True))
    table = Table("", "clip", "score", "candidate", "why", box=None)
    for m in moments[:most]:
        table.add_row(str(m.rank), m.clip, f"{m.score:.2f}", "yes" if m.candidate else "", m.why)
    Console().print(table)
    candidates = sum(m.candidate for m in moments)
    click.echo(f"{candidates} of {len(moments)} are candidates. Next: deemo push {project_dir} --template clip_review")
    exit_with_problems(problems)
