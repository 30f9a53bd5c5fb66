"""The command evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deemo_data.baseline.llama.presets import PRESETS
from deemo_data.cli.output import show_progress


@click.command("evaluate")
@click.argument("folder", metavar="DATASET", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Train DEEMO-LLaMA, too: tiny on two cores, the others on GPUs.")
@click.option("--base", default="", help="Folder or name of another language model than the preset's.")
@click.option("--seeds", type=int, default=3, show_default=True, help="Of the model and of each baseline.")
@click.option(
    "--retrain", type=click.IntRange(0), default=1, show_default=True, help="Seeds without each modality; 0: not at all."
)
@click.option("--predictions", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="answers.jsonl of any model.")
@click.option("--judge", default="", metavar="URL", help="An OpenAI-compatible judge of reasons.")
@click.option("--judge-model", default="", metavar="NAME", help="The judge's model.")
@click.option("--judge-key-env", default="", metavar="NAME", help="The environment variable that holds the judge's key.")
@click.option("--repeats", type=int, default=3, show_default=True, help="How often the judge is asked.")
@click.option("--split", default="", help="What is scored: test, else validation, where nothing is said.")
@click.option("--rounds", type=int, default=200, show_default=True, help="Permutations of each check.")
@click.option("--anew", is_flag=True, help="Train from the beginning, also where a training was stopped or is done.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and what memory and time it takes; train nothing.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where results go.")
def evaluate_command(
    folder: Path, dry_run: bool, out: Path | None, anew: bool, preset: str | None, **settings_by_name: Any
) -> None:
    """Measure a dataset folder, or that of a project: baselines, checks, and a model or its predictions.

    Writes evaluation.json and evaluation.html: into the project's out/, else into DATASET-evaluation beside it. Without --preset
    no model is trained: baselines, checks and --predictions take a minute or two. With it, the extra [baseline] is needed.
    Exit status 1 when a check found a problem.
    """
    from deemo_data.baseline.evaluation.evaluate import evaluate
    from deemo_data.baseline.evaluation.plan import plan_evaluation
    from deemo_data.baseline.evaluation.report import HTML_FILE, default_results_folder
    from deemo_data.baseline.evaluation.settings import Settings
    from deemo_data.reports.evaluation import summarise

    settings = Settings(model=preset is not None, preset=preset or "tiny", resume=not anew, **settings_by_name)
    if dry_run:
        for line in plan_evaluation(folder, settings):
            click.echo(line)
        return
    out = out or default_results_folder(folder)
    with show_progress() as watcher:
        if preset:
            for line in plan_evaluation(folder, settings):
                click.echo(line, err=True)
        report = evaluate(folder, out, settings, watcher)
    for line in summarise(report):
        click.echo(line)
    click.echo(f"To look at: {out / HTML_FILE}")
    raise SystemExit(1 if any(c["verdict"] == "problem" for c in report["checks"]) else 0)
