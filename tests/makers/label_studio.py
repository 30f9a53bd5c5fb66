"""A real Label Studio, once a session: started by the product's own code, with ordinary annotators and a served folder."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from deemo_data.annotation.label_studio import local_server, workspace
from deemo_data.errors import LabelError
from deemo_data.project.project import Project


@dataclass(frozen=True)
class LabelStudio:
    """A server that runs. `project` is the one whose folder it serves; `url` has no slash at its end."""

    url: str
    token: str
    project: Project
    accounts: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self, token: str = "") -> httpx.Client:
        """Asks as the owner, or as whoever has that token."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Token {token or self.token}"}, timeout=60)

    def annotator(self, name: str, group: str = "label") -> tuple[str, str, str]:
        """E-mail, password and token of an ordinary annotator; made when first asked for."""
        email = f"{name}@example.com"
        if email not in self.accounts:
            self.accounts[email] = local_server.add_annotator(self.project, email, group)
        return email, self.accounts[email]["password"], self.accounts[email]["token"]

    def hand_in(self, token: str, task: int, *results: dict[str, Any]) -> dict[str, Any]:
        """An annotation of one of their tasks, by whoever has that token."""
        with self.client(token) as client:
            answer = client.post(f"/api/tasks/{task}/annotations", json={"result": list(results), "lead_time": 1.5})
            assert answer.status_code == 201, answer.text
            return dict(answer.json())

    def tasks(self, number: int) -> dict[str, int]:
        """{clip: id} of their tasks in a project."""
        with self.client() as client:
            said = client.get(
                "/api/tasks/", params={"project": number, "page_size": 1000, "fields": "task_only", "include": "id,data"}
            )
            return {t["data"]["clip"]: t["id"] for t in said.json()["tasks"]}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def migrated(program: Path, first: Path) -> Path:
    """The private/ of a project after its first boot (400 migrations, half a minute); kept beside the program, per version."""
    venv = program.resolve().parents[1]
    version = next(venv.glob("lib/python*/site-packages/label_studio-*.dist-info")).stem
    kept = venv / "migrated" / version
    if not kept.exists():
        with local_server.start_server(Project.make(first), free_port()):
            pass
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=kept.parent))
        for name in (workspace.SERVER_FOLDER, workspace.ADDRESS_FILE):
            shutil.move(first / "private" / name, aside / name)
        (aside / workspace.SERVER_FOLDER / "server.log").unlink()
        aside.rename(kept)
    return kept


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    try:
        program = local_server.find_program()
    except LabelError as e:
        pytest.skip(f"{e.what}: type make label-studio-venv")
    folder = tmp_path_factory.mktemp("label-studio")
    kept = migrated(program, folder / "first")
    project = Project.make(folder / "project")
    shutil.copytree(kept, project.private_dir, dirs_exist_ok=True)
    with local_server.start_server(project, free_port()):
        said = workspace.read_address(project)
        yield LabelStudio(said["url"], said["token"], project)
