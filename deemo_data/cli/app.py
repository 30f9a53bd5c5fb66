"""The command line: one group, its commands, and `main`, which turns errors into one line and an exit status."""

from __future__ import annotations

import errno
import sys
from typing import Any

import click

from deemo_data.cli import annotate, build, dataset, evaluate, footage, privacy, project
from deemo_data.errors import DeemoError, to_printable_line


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="deemo-data", prog_name="deemo")
def cli() -> None:
    """Interview footage in, de-identified emotion dataset out.

    \b
    The whole line at once:   deemo build DIR SOURCES --consent "WORDS" [--labels EXPORT.json --match M.csv]
    Step by step:             deemo init, ingest, segment, run, push, pull, export, validate
    Annotators:               deemo label-studio, push, pull, agree, push --adjudicate; templates, moments
    What people correct:      deemo speakers (who speaks when), review (what a mask missed)
    How safe it is:           deemo audit DIR
    What can be learned:      deemo evaluate DIR [--preset tiny]
    Somebody withdraws:       deemo forget DIR SUBJECT
    Something to look at:     deemo demo DIR

    SOURCES is a folder of videos, one video, an http(s) address, or a CSV with the columns
    uri, subject, known_names, consent, licence, start_ms, end_ms, video_track, audio_track, mix (only uri is required).
    Exit status: 0 all done, 1 some clips failed (they are listed), 2 the request cannot be carried out.
    """


COMMANDS = (
    project.init_command, project.models_group, footage.ingest_command, footage.segment_command, footage.run_command,
    project.status_command, footage.speakers_command, privacy.review_command, privacy.audit_command,
    annotate.label_studio_command, annotate.templates_command, annotate.push_command, annotate.pull_command,
    annotate.agree_command, annotate.moments_command, dataset.convert_command, privacy.forget_command,
    evaluate.evaluate_command, dataset.export_command, dataset.validate_command, build.build_command, build.demo_command,
)  # fmt: skip
for command in COMMANDS:
    cli.add_command(command)


@cli.command(name="docs", hidden=True)
def docs() -> None:
    """Print docs/cli.md."""
    click.echo(reference(), nl=False)


def reference() -> str:
    """The whole command line, as Markdown."""
    pages = ["# The command line", "", "Made by `make docs`; do not edit."]

    def page(command: click.Command, path: str, parent: click.Context | None) -> None:
        settings: dict[str, Any] = {**command.context_settings, "terminal_width": 110}
        context = click.Context(command, info_name=path.split()[-1], parent=parent, **settings)
        pages.extend(["", f"## {path}", "", "```", command.get_help(context), "```"])
        for name, child in command.commands.items() if isinstance(command, click.Group) else ():
            if not child.hidden:
                page(child, f"{path} {name}", context)

    page(cli, "deemo", None)
    return "\n".join(pages) + "\n"


def main() -> None:
    """Run `deemo`: our own errors as one line and exit status 2, anything else with its traceback."""
    try:
        sys.exit(cli(prog_name="deemo", standalone_mode=False))
    except click.Abort:
        click.echo("deemo: stopped. Nothing is lost: the same command goes on from here", err=True)
        sys.exit(130)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except DeemoError as e:
        click.echo(f"deemo: {e}", err=True)
        sys.exit(2)
    except OSError as e:
        advice = "Free some space and run again; nothing is lost" if e.errno == errno.ENOSPC else "Mend that and run again"
        click.echo(to_printable_line(f"deemo: {e.strerror or e}: {e.filename or 'writing'}. {advice}"), err=True)
        sys.exit(2)
