"""This project's address, annotators, project numbers."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.errors import ConfigError, LabelError
from deemo_data.pseudonyms import derive

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.connection import Server
    from deemo_data.project.project import Project


ADDRESS = "label_studio.json"
ANNOTATORS = "annotators.csv"
SERVER = "label-studio"  # below private/: the data of a server of the project's own
GROUPS = ("label", "adjudicate")


@dataclass(frozen=True)
class Annotator:
    """A row of private/annotators.csv."""

    email: str
    group: str = "label"


def address(project: Project) -> dict[str, Any]:
    """private/label_studio.json: url, token, and the numbers of our projects there, by template."""
    try:
        said = json.loads((project.private / ADDRESS).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as e:
        raise ConfigError(f"private/{ADDRESS} is damaged: {e}", "Put it back from your backup, or delete it") from e
    return dict(said)


def server_of(project: Project) -> Server:
    """The Label Studio of this project: as the environment says, else as `make label-studio` wrote it down."""
    from deemo_data.annotation.label_studio import connection

    said = address(project)
    url, token = os.environ.get("LABEL_STUDIO_URL"), os.environ.get("LABEL_STUDIO_API_KEY")
    if url and not token and url.rstrip("/") != said.get("url"):  # the token of one server is not told to another
        raise LabelError(f"there is no token for Label Studio at {url}", "Set LABEL_STUDIO_API_KEY too")
    url, token = url or said.get("url"), token or said.get("token")
    if not url or not token:
        what = "no Label Studio is known to this project"
        raise LabelError(
            what, f"Type: make label-studio PROJECT={project.root}, or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        )
    return connection.connect(url, token)


def sweep_exports(project: Project) -> None:
    """Remove the copies that a server of the project's own keeps of whatever is fetched from it."""
    for path in (project.private / SERVER / "export").glob("project-*"):
        path.unlink()


def project_numbers(project: Project) -> dict[str, int]:
    """{template: number of our project there}."""
    return {str(k): int(v) for k, v in address(project).get("projects", {}).items() if v is not None}


def mark_of(project: Project) -> str:
    """By which our projects there are known as ours."""
    return derive(project.secret, "label-studio")[:12]


def annotators(project: Project) -> list[Annotator]:
    """Who labels: private/annotators.csv. Raises ConfigError for a row without an e-mail address or of another group."""
    path = project.private / ANNOTATORS
    if not path.exists():
        return []
    found = []
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    except UnicodeDecodeError as e:
        raise ConfigError(f"private/{ANNOTATORS} is not UTF-8: {e.reason}", "Save it as UTF-8") from e
    for number, row in enumerate(rows, 2):
        who = Annotator((row.get("email") or "").strip().lower(), (row.get("group") or "label").strip())
        if "@" not in who.email or who.group not in GROUPS:
            wrong = f"private/{ANNOTATORS} line {number}: it needs an e-mail address and a group"
            raise ConfigError(wrong, f"Columns: email, group ({' or '.join(GROUPS)})")
        found.append(who)
    return found


def install_keys(project: Project) -> tuple[int, list[str]]:
    """Our keys, for us and each annotator of the project: (how many have them now, the addresses that have no account there)."""
    from deemo_data.annotation.label_studio import projects
    from deemo_data.annotation.pages import templates

    server, body = server_of(project), templates.hotkeys()
    number_of = {email: number for number, email in projects.annotators(server).items()}
    people = [who.email for who in annotators(project)]
    projects.install_hotkeys_of(server, server.user, body)
    for email in people:
        if email in number_of:
            projects.install_hotkeys_of(server, number_of[email], body)
    return sum(email in number_of for email in people), [email for email in people if email not in number_of]
