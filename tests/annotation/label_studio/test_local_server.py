"""The local server: alone on this machine, asking nobody, and giving annotators nothing but released clips."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from deemo_data.annotation.label_studio import local_server, workspace
from deemo_data.errors import LabelError
from deemo_data.project.project import Project
from tests.makers.label_studio import LabelStudio, free_port, migrated

SECRET = b"an original that nobody may see"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path / "study")


def program_that(does: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the place of Label Studio's."""
    path = folder / "label-studio"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    monkeypatch.setenv(local_server.PROGRAM_VARIABLE, str(path))


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_not_installed(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(local_server.PROGRAM_VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(LabelError, match="not installed") as e:
        local_server.run_server(project, free_port(), print)
    assert "make label-studio-venv" in e.value.advice


def test_a_port_that_is_taken_is_not_left_for_the_next(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program_that("exit 0", tmp_path, monkeypatch)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabelError, match=f"port {port} is taken") as e, local_server.start_server(project, port):
            pass
    assert "--port" in e.value.advice
    assert not (project.private_dir / workspace.ADDRESS_FILE).exists()


def test_a_server_that_dies_is_one_line(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program_that("echo starting; echo 'no space left on device' >&2; exit 3", tmp_path, monkeypatch)
    with (
        pytest.raises(LabelError, match="ended at once: no space left on device") as e,
        local_server.start_server(project, free_port()),
    ):
        pass
    assert "server.log" in e.value.advice


def test_a_server_that_never_comes_up(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program_that(f"echo $$ > {tmp_path}/pid; echo migrating; exec sleep 60", tmp_path, monkeypatch)
    monkeypatch.setattr(local_server, "START_TIMEOUT_S", 1)
    with pytest.raises(LabelError, match="did not come up in 1 s: migrating"), local_server.start_server(project, free_port()):
        pass
    assert not alive(int((tmp_path / "pid").read_text()))


def test_two_servers_do_not_share_a_database(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    program_that("exit 0", tmp_path, monkeypatch)
    (project.private_dir / workspace.SERVER_FOLDER).mkdir()
    with open(project.private_dir / workspace.SERVER_FOLDER / "server.log", "ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        with pytest.raises(LabelError, match="runs for this project already"), local_server.start_server(project, free_port()):
            pass


def test_nothing_of_our_environment_decides(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEBUG", "HOST", "DATABASE_NAME", "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, "/")
    said = local_server.server_environment(project, {"email": "o@example.com", "password": "p", "token": "t"})
    assert "/" not in said.values()
    assert said["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(project.root / "out" / "released")
    assert said["http_proxy"] == said["https_proxy"] == local_server.CLOSED_ADDRESS


@pytest.mark.parametrize("email", ["", "ann", "ann@", "a b@example.com", "a@example.com,b@example.com", "=1@x"])
def test_an_address_that_is_none(project: Project, email: str) -> None:
    with pytest.raises(LabelError, match="not an e-mail address"):
        local_server.add_annotator(project, email, "label")


def test_an_account_without_a_server(project: Project) -> None:
    with pytest.raises(LabelError, match="no Label Studio of its own") as e:
        local_server.add_annotator(project, "ann@example.com", "label")
    assert "make label-studio" in e.value.advice
    said = {"url": f"http://127.0.0.1:{free_port()}", "token": "0" * 40}
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps(said))
    with pytest.raises(LabelError, match="no Label Studio answers"):
        local_server.add_annotator(project, "ann@example.com", "label")
    assert workspace.read_annotators(project) == []


# ── a real one ───────────────────────────────────────────────────────────────────────────────────────────────


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1][:3]


def listening(pid: int) -> set[str]:
    """The addresses, in hex, at which a process listens."""
    handles = Path(f"/proc/{pid}/fd")
    mine = {os.readlink(f) for f in handles.iterdir() if f.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] in ("0A", "07") and f"socket:[{columns[9]}]" in mine:
                found.add(columns[1].split(":")[0])
    return found


class Door:
    """Where the server's requests to the outside end up, and are written down."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.line = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.line.getsockname()[1]}"
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self) -> None:
        while True:
            line, _ = self.line.accept()
            with line:
                line.settimeout(5)
                if not (said := line.recv(200)):
                    return
                self.asked.append(said.split(b"\r\n")[0])
                line.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        socket.create_connection(self.line.getsockname()).close()
        self.thread.join()
        self.line.close()


@pytest.mark.slow
def test_a_server_from_start_to_end(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback only, what it would ask outside goes nowhere, and a second start finds everything as it was."""
    try:
        kept = migrated(local_server.find_program(), tmp_path / "first")
    except LabelError as e:
        pytest.skip(f"{e.what}: type make label-studio-venv")
    import shutil

    shutil.copytree(kept, project.private_dir, dirs_exist_ok=True)
    before = workspace.read_address(project)
    door = Door()
    monkeypatch.setattr(local_server, "CLOSED_ADDRESS", door.address)
    try:
        with local_server.start_server(project, free_port()) as child:
            said = workspace.read_address(project)
            assert {k: said[k] for k in ("email", "password", "token")} == {k: before[k] for k in ("email", "password", "token")}
            assert listening(child.pid) == {"0100007F"}, "127.0.0.1"
            assert door.asked == []
            account = local_server.add_annotator(project, "ann@example.com", "adjudicate")
            with httpx.Client(base_url=said["url"], headers={"Authorization": f"Token {account['token']}"}) as client:
                client.post("/api/projects/", json={"title": "one of theirs"})
                assert client.get("/api/version").status_code == 200
                assert door.asked == []
                assert client.get("/heidi-tips").status_code == 404, "news from its makers: each page asks for them"
            assert [line.split()[:2] for line in door.asked] == [[b"CONNECT", b"raw.githubusercontent.com:443"]]
        assert child.poll() is not None
    finally:
        door.close()
    for name in (workspace.ADDRESS_FILE, workspace.ANNOTATORS_FILE):
        assert stat.S_IMODE((project.private_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((project.private_dir / workspace.SERVER_FOLDER).stat().st_mode) == 0o700
    assert (project.private_dir / workspace.ANNOTATORS_FILE).read_text() == "email,group\nann@example.com,adjudicate\n"
    log = (project.private_dir / workspace.SERVER_FOLDER / "server.log").read_text()
    for secret in (said["token"], said["password"], account["token"], account["password"]):
        assert secret not in log


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_from_the_command_line(project: Project, tmp_path: Path, end: signal.Signals) -> None:
    try:
        kept = migrated(local_server.find_program(), tmp_path / "first")
    except LabelError as e:
        pytest.skip(f"{e.what}: type make label-studio-venv")
    import shutil

    shutil.copytree(kept, project.private_dir, dirs_exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "deemo_data.cli", "label-studio", str(project.root), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().strip() == f"http://127.0.0.1:{port}"
        said = workspace.read_address(project)
        told = process.stdout.readline()
        assert said["email"] in told
        assert said["password"] in told
        children = [int(p) for p in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        assert children
        process.send_signal(end)
        _, complaints = process.communicate(timeout=30)
        assert complaints == "" or end != signal.SIGINT
        assert process.returncode == (0 if end == signal.SIGINT else -end)
    until = time.monotonic() + 20
    while any(map(alive, children)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(alive, children))


# ── what an annotator can reach ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def annotator(label_studio: LabelStudio) -> Iterator[httpx.Client]:
    """An ordinary annotator at a project with a released clip, next to originals that nobody may see."""
    served = label_studio.project
    (served.released_dir / "c-public.mp4").write_bytes(b"what may be seen")
    for path in originals(served):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SECRET)
    with label_studio.client() as owner:
        number = owner.post("/api/projects/", json={"title": "a project of the owner"}).json()["id"]
        storage = {"project": number, "path": str(served.released_dir), "use_blob_urls": True}
        assert owner.post("/api/storages/localfiles/", json=storage).status_code == 201
    with label_studio.client(label_studio.annotator("dora")[2]) as client:
        yield client
    for path in originals(served):
        path.unlink()


def originals(project: Project) -> list[Path]:
    root = project.root
    beside = ["private/original.mp4", "private/store/original.mp4", "out/original.mp4", "out/released-private/original.mp4"]
    return [root.parent / "footage" / "original.mp4", *(root / name for name in beside), project.served_dir / "original.mp4"]


@pytest.mark.slow
def test_nothing_but_videos_lies_below_the_root(label_studio: LabelStudio, annotator: httpx.Client) -> None:
    (label_studio.project.served_dir / "original.mp4").unlink()
    found = [p for p in label_studio.project.served_dir.rglob("*") if not p.is_dir() or p.is_symlink()]
    assert [p for p in found if p.is_symlink() or p.parent != label_studio.project.released_dir or p.suffix != ".mp4"] == []
    (label_studio.project.served_dir / "original.mp4").write_bytes(SECRET)


def ways_to(path: Path, root: Path) -> list[str]:
    """How one may ask for a file that is not below the root, or below it and in no storage."""
    up = os.path.relpath(path, root)
    through = os.path.relpath(path, root / "clips")
    plain = [up, f"clips/{through}", str(path), f"/{path}", f"./{up}", f"clips//{through}", f"file://{path}"]
    plain += [
        f"clips/c-public.mp4/{os.path.relpath(path, root / 'clips' / 'c-public.mp4')}",
        up.replace("/", "\\"),
        f"{up}\0.mp4",
    ]
    once = [quote(p, safe="") for p in plain]
    return [*once, *(quote(p, safe="") for p in once), *(p.replace("..", "%252e%252e") for p in plain if "\0" not in p)]


@pytest.mark.slow
def test_no_address_leads_to_an_original(label_studio: LabelStudio, annotator: httpx.Client) -> None:
    public = annotator.get("/data/local-files/?d=clips/c-public.mp4")
    assert (public.status_code, public.content) == (200, b"what may be seen"), "and that one does"
    annotator_part = annotator.get("/data/local-files/?d=clips/c-public.mp4", headers={"Range": "bytes=5-7"})
    assert (annotator_part.status_code, annotator_part.content) == (206, b"may")
    asked = 0
    first, *more = originals(label_studio.project)
    others = ("/data/upload/", "/storage-data/uploaded/?filepath=", "/static/", "/dm/", "/data/avatars/")
    for path, entrances in ((first, ("/data/local-files/?d=", *others)), *((path, ("/data/local-files/?d=",)) for path in more)):
        for number, way in enumerate(ways_to(path, label_studio.project.served_dir)):
            for entrance in entrances:
                try:
                    got = annotator.get(entrance + way, headers={"Range": "bytes=0-9"} if number % 2 else {})
                except httpx.InvalidURL:
                    continue
                asked += 1
                assert got.status_code not in (200, 206) or b"<html" in got.content, entrance + way
                assert SECRET[:9] not in got.content, entrance + way
    assert asked > 200
    for folder in ("", ".", "clips", "clips/", "/", ".."):
        assert annotator.get("/data/local-files/", params={"d": folder}).status_code >= 400, folder


@pytest.mark.slow
def test_an_annotator_cannot_have_more_served(label_studio: LabelStudio, annotator: httpx.Client) -> None:
    """Label Studio's free edition lets everybody make projects and storages: none of them reaches out of the root."""
    root = label_studio.project.root
    number = annotator.post("/api/projects/", json={"title": "a project of theirs"}).json()["id"]
    clips = label_studio.project.released_dir
    tried = [Path("/"), root, root / "private", root / "out", root.parent / "footage", label_studio.project.served_dir]
    tried += [clips / ".." / "..", clips / ".." / ".." / ".." / "private", root / "out" / "released-private"]
    for kind in ("localfiles", "export/localfiles"):
        for path in tried:
            storage = {"project": number, "path": str(path), "use_blob_urls": True, "recursive_scan": True}
            made = annotator.post(f"/api/storages/{kind}", json=storage)
            assert made.status_code == 400, (kind, path, made.text)
            assert SECRET not in made.content
    mine = annotator.post("/api/storages/localfiles/", json={"project": number, "path": str(clips), "use_blob_urls": True}).json()
    for path in tried:
        assert annotator.patch(f"/api/storages/localfiles/{mine['id']}", json={"path": str(path)}).status_code == 400, path
    for url in (f"file://{originals(label_studio.project)[0]}", label_studio.url, "http://example.invalid/x.json"):
        assert annotator.post(f"/api/projects/{number}/import", data={"url": url}).status_code >= 400, url


@pytest.mark.slow
def test_an_annotator_is_no_owner(label_studio: LabelStudio, annotator: httpx.Client) -> None:
    """`label-studio init` would make one who sees Django's pages of everybody's accounts."""
    me = annotator.get("/api/current-user/whoami").json()["id"]
    annotator.patch(f"/api/users/{me}/", json={"is_superuser": True, "is_staff": True, "active_organization": 1})
    email, password, _ = label_studio.annotator("dora")
    with httpx.Client(base_url=label_studio.url, follow_redirects=True) as client:
        client.get("/user/login/")
        form: dict[str, Any] = {"email": email, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        assert "login" not in str(client.post("/user/login/", data=form, headers={"Referer": label_studio.url}).url)
        for page in ("/admin/", "/admin/users/user/", "/django-rq/"):
            assert "login" in str(client.get(page).url), page


@pytest.mark.slow
def test_strangers_stay_outside(label_studio: LabelStudio, annotator: httpx.Client) -> None:
    with httpx.Client(base_url=label_studio.url) as client:
        for path in ("/data/local-files/?d=clips/c-public.mp4", "/api/users/", "/api/projects/", "/api/tasks/1/"):
            assert client.get(path).status_code == 401, path
        page = client.get("/user/signup/")
        form = {
            "email": "eve@example.com",
            "password": "long enough 1",
            "csrfmiddlewaretoken": client.cookies.get("csrftoken", ""),
        }
        client.post("/user/signup/", data=form, headers={"Referer": f"{label_studio.url}/user/signup/"})
        assert page.status_code in (200, 302, 403)
    with label_studio.client() as owner:
        assert "eve@example.com" not in [u["email"] for u in owner.get("/api/users/").json()]


@pytest.mark.slow
def test_an_account_is_made_once(label_studio: LabelStudio, annotator: httpx.Client) -> None:
    email, *_ = label_studio.annotator("dora")
    with pytest.raises(LabelError, match="has an account already"):
        local_server.add_annotator(label_studio.project, email.upper(), "label")
    known = workspace.read_annotators(label_studio.project)
    workspace.write_annotators(label_studio.project, [who for who in known if who.email != email])
    with pytest.raises(LabelError, match="made no account"):
        local_server.add_annotator(label_studio.project, email, "label")
    workspace.write_annotators(label_studio.project, known)
