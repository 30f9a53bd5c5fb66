"""What a project knows about its Label Studio: where the server is, who annotates, and which projects on it are its own.

In private/: label_studio.json (url, token, project numbers) and annotators.csv (e-mail address, group). connection.py speaks to
the server, projects.py works with its projects.
"""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.errors import ConfigError, LabelError
from deemo_data.files import write_if_changed
from deemo_data.labels.label import ADJUDICATION_TEMPLATE
from deemo_data.pseudonyms import derive_key

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.connection import Server
    from deemo_data.project.project import Project


ADDRESS_FILE = "label_studio.json"
ANNOTATORS_FILE = "annotators.csv"
SERVER_FOLDER = "label-studio"  # below private/: database and log of the project's own server
GROUPS = ("label", "adjudicate")


@dataclass(frozen=True)
class Annotator:
    """A row of private/annotators.csv."""

    email: str
    group: str = "label"


def read_address(project: Project) -> dict[str, Any]:
    """private/label_studio.json: url, token, and `projects`, {template: number}. Empty before the first server or push."""
    try:
        address = json.loads((project.private_dir / ADDRESS_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as e:
        raise ConfigError(f"private/{ADDRESS_FILE} is damaged: {e}", "Put it back from your backup, or delete it") from e
    return dict(address)


def write_address(project: Project, address: dict[str, Any]) -> None:
    """Replace private/label_studio.json; only its owner may read it, because of the token."""
    text = json.dumps(address, indent=1, sort_keys=True) + "\n"
    write_if_changed(project.private_dir / ADDRESS_FILE, text, mode=0o600)


def connect_server(project: Project) -> Server:
    """Connect to the Label Studio of this project: the one of the environment, otherwise the one in private/label_studio.json.

    Raises LabelError when there is no server or no token for it, and as `connection.connect` does.
    """
    from deemo_data.annotation.label_studio import connection

    address = read_address(project)
    url, token = os.environ.get("LABEL_STUDIO_URL"), os.environ.get("LABEL_STUDIO_API_KEY")
    if url and not token and url.rstrip("/") != address.get("url"):  # never send the token of one server to another
        raise LabelError(f"there is no token for Label Studio at {url}", "Set LABEL_STUDIO_API_KEY too")
    url, token = url or address.get("url"), token or address.get("token")
    if not url or not token:
        what = "no Label Studio is known to this project"
        raise LabelError(
            what, f"Type: make label-studio PROJECT={project.root}, or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        )
    return connection.connect(url, token)


def delete_exports(project: Project) -> None:
    """Delete the copies of exports that the project's own server keeps of everything that is fetched from it."""
    for path in (project.private_dir / SERVER_FOLDER / "export").glob("project-*"):
        path.unlink()


def read_project_numbers(project: Project) -> dict[str, int]:
    """{template: number of our project on the server}."""
    return {str(k): int(v) for k, v in read_address(project).get("projects", {}).items() if v is not None}


def mark_of_project(project: Project) -> str:
    """The mark in the title and description of every project on a server that belongs to this project: 12 hex digits."""
    return derive_key(project.secret, "label-studio")[:12]


def prepare_project(project: Project, server: Server, template: str, config: str, guide: str) -> int:
    """Create or update our project for a template, with its page, guide and videos. Returns its number and records it.

    config  the page, XML
    guide   for annotators, Markdown
    Raises LabelError as `projects.ensure_project` and `projects.ensure_storage` do.
    """
    from deemo_data.annotation.label_studio import projects

    address = read_address(project)
    numbers = address.get("projects", {})
    number = projects.ensure_project(
        server,
        title=f"deemo {template} {mark_of_project(project)}",
        template=template,
        config=config,
        guide=guide,
        overlap=1 if template == ADJUDICATION_TEMPLATE else project.config.labelling.overlap,
        recorded_number=numbers.get(template),
        recreate=template in numbers and numbers[template] is None,
    )
    project.released_dir.mkdir(parents=True, exist_ok=True)
    projects.ensure_storage(server, number, project.released_dir)
    write_address(project, address | {"projects": {**numbers, template: number}})
    return number


def read_annotators(project: Project) -> list[Annotator]:
    """The rows of private/annotators.csv. Raises ConfigError for a row without an e-mail address or with an unknown group."""
    path = project.private_dir / ANNOTATORS_FILE
    if not path.exists():
        return []
    annotators = []
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    except UnicodeDecodeError as e:
        raise ConfigError(f"private/{ANNOTATORS_FILE} is not UTF-8: {e.reason}", "Save it as UTF-8") from e
    for number, row in enumerate(rows, 2):
        annotator = Annotator((row.get("email") or "").strip().lower(), (row.get("group") or "label").strip())
        if "@" not in annotator.email or annotator.group not in GROUPS:
            wrong = f"private/{ANNOTATORS_FILE} line {number}: it needs an e-mail address and a group"
            raise ConfigError(wrong, f"Columns: email, group ({' or '.join(GROUPS)})")
        annotators.append(annotator)
    return annotators


def write_annotators(project: Project, annotators: list[Annotator]) -> None:
    """Replace private/annotators.csv."""
    text = io.StringIO()
    table = csv.DictWriter(text, ["email", "group"], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(annotator) for annotator in annotators)
    write_if_changed(project.private_dir / ANNOTATORS_FILE, text.getvalue(), mode=0o600)


def install_hotkeys(project: Project) -> tuple[int, list[str]]:
    """Set our hotkeys for the owner of the token and for each annotator of the project.

    Returns (number of annotators who have them now, e-mail addresses without an account on the server).
    """
    from deemo_data.annotation.label_studio import projects
    from deemo_data.annotation.pages import templates

    server, body = connect_server(project), templates.read_hotkeys()
    number_of = {email: number for number, email in projects.read_accounts(server).items()}
    emails = [annotator.email for annotator in read_annotators(project)]
    projects.install_hotkeys_for(server, server.user, body)
    for email in emails:
        if email in number_of:
            projects.install_hotkeys_for(server, number_of[email], body)
    return sum(email in number_of for email in emails), [email for email in emails if email not in number_of]
