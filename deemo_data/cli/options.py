"""Arguments, options and parameter types that several commands share.

A command that works on a project takes DIR. Its parameter is `project_dir`, the folder as typed, which messages repeat; the
opened Project is `project`.
"""

from __future__ import annotations

from pathlib import Path

import click

DIR = click.argument("project_dir", metavar="DIR", type=click.Path(path_type=Path))
REPLACE = click.option("--replace", "replace_all", is_flag=True, help="Drop the project's sources that are not in SOURCES.")
WORKERS = click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Processes; 0 works in this one.")
RAY = click.option(
    "--ray", metavar="ADDRESS", help="On the Ray cluster at host:port (or auto) instead of in --workers; see docs/ray.md."
)
CONSENT = click.option("--consent", metavar="WORDS", help="What all these people agreed to; recorded, and marked as asserted.")
EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
NEW_FILE = click.Path(path_type=Path)
PROFILE = click.option("--profile", metavar="P", help="hardened (the default of a new project) or deemo-paper.")
