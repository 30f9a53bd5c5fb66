"""Commands about datasets: export, validate, convert."""

from __future__ import annotations

from pathlib import Path

import click

from deemo_data.cli.options import DIR
from deemo_data.cli.output import exit_with_problems, export_and_print, open_project
from deemo_data.dataset.conversion.formats import FORMATS
from deemo_data.errors import to_printable_line


@click.command("export")
@DIR
@click.option("--allow-proposed", is_flag=True, help="Let machine-made events out too, marked as proposed.")
@click.option(
    "--push", "repo", metavar="OWNER/NAME", help="Send it to a Hugging Face hub afterwards; a new repository is private."
)
@click.option("--endpoint", metavar="URL", help="Another hub than huggingface_hub knows.")
@click.option("--public", is_flag=True, help="Let a new repository be public.")
def export_command(project_dir: Path, allow_proposed: bool, repo: str | None, endpoint: str | None, public: bool) -> None:
    """Write the dataset: PROJECT/out/dataset, for datasets.load_dataset; and out/dataset.html to look at.

    --push takes the token of HF_TOKEN or `hf auth login`, sends only what changed, and verifies what arrived.
    """
    project = open_project(project_dir)
    problems = export_and_print(project, allow_proposed)
    if repo:
        from deemo_data.dataset.export import hub

        sent = hub.push_dataset(project.dataset_dir, repo, endpoint=endpoint, private=not public)
        files = f"{sent.files_sent} files sent, {sent.files_unchanged} there already, {sent.files_removed} removed"
        click.echo(f"{sent.address}: version {sent.version}, {files}")
    exit_with_problems(problems)


@click.command("validate")
@click.argument("folder", metavar="DATASET", type=click.Path(path_type=Path))
def validate_command(folder: Path) -> None:
    """Check a dataset folder, ours or someone's: records, digests, frames, tags, splits."""
    from deemo_data.dataset.loading import explain_loading
    from deemo_data.dataset.validation.dataset import validate_dataset

    findings = validate_dataset(folder)
    for finding in findings:
        click.echo(to_printable_line(str(finding)), err=True)
    for line in explain_loading(folder):
        click.echo(to_printable_line(line), err=True)
    wrong = sum(f.level == "error" for f in findings)
    click.echo(f"{folder}: {wrong} faults, {len(findings) - wrong} warnings")
    raise SystemExit(1 if wrong else 0)


@click.command("convert")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--to", "to", type=click.Choice(list(FORMATS)), required=True, help="merr: Emotion-LLaMA; emer: AffectGPT.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder, or one made so before."
)
@click.option("--no-link", is_flag=True, help="Name the videos where they lie, instead of linking or copying them.")
@click.option("--force", is_flag=True, help="Convert a dataset with errors too.")
def convert_command(dataset: Path, to: str, out: Path, no_link: bool, force: bool) -> None:
    """Convert a dataset to a record format of another project, and check the result as that project reads it.

    Exit status 1 when something would go wrong there. docs/data.md says what each format loses.
    """
    from deemo_data.dataset.conversion.convert import convert_dataset

    result = convert_dataset(dataset, to, out, link=not no_link, force=force)
    splits = ", ".join(f"{n} {split}" for split, n in result.splits.items())
    click.echo(f"{out}: {result.records} records ({splits}), {result.videos} videos; {result.changed} files changed")
    for why, count in result.left_out.items():
        click.echo(f"  {count} records are not in it: {why}", err=True)
    for line in (*result.notes, *result.faults):
        click.echo(f"  {to_printable_line(line)}", err=True)
    raise SystemExit(1 if result.faults else 0)
