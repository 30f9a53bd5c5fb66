"""A Label Studio for one project: on this machine only, asking nobody for anything, and seeing nothing but out/released."""

from __future__ import annotations

import csv
import ctypes
import fcntl
import io
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deemo_data.annotation.label_studio.connection import clearly, connect
from deemo_data.annotation.label_studio.workspace import ADDRESS, ANNOTATORS, SERVER, Annotator, address, annotators
from deemo_data.annotation.pages import templates
from deemo_data.errors import LabelError
from deemo_data.files import open_no_follow, write_if_changed
from deemo_data.project.project import Project

VENV = Path(__file__).resolve().parents[3] / ".venv-label-studio"
WHERE = "DEEMO_LABEL_STUDIO"  # names another label-studio program
FOLDER = SERVER  # below private/: its database, and server.log
OWNER = "owner@localhost.invalid"
WAIT_S = 180  # the first start, on a slow machine
# Of our environment. Any other name may be a setting of theirs.
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
NOWHERE = "http://127.0.0.1:9"  # where nobody listens: what the server would ask outside goes there, and is refused
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the environment names
_LIBC = ctypes.CDLL(None)


def program() -> Path:
    """Label Studio's program, in its own venv. Raises LabelError when it is not installed."""
    found = Path(os.environ.get(WHERE) or VENV / "bin" / "label-studio")
    if not found.is_file():
        raise LabelError("Label Studio is not installed", f"Type: make label-studio-venv, or set {WHERE} to its program")
    return found


def serve(project: Project, port: int, say: Callable[[str], None]) -> None:
    """Run until somebody presses Ctrl-C. `say` is told where it is, and how to get in."""
    if not (project.private / FOLDER).exists():
        say("The first start makes a database: about half a minute")
    with suppress(KeyboardInterrupt), running(project, port) as child:
        said = address(project)
        say(f"{said['url']}\nSign in as {said['email']} with the password {said['password']}; access token {said['token']}")
        say(f"Annotators: deemo label-studio {project.root} --annotator EMAIL. Then: deemo push {project.root}. Ctrl-C ends it.")
        child.wait()
        log = project.private / FOLDER / "server.log"
        raise LabelError(f"Label Studio ended: {_last(log, 0)}", f"Its log: {log}")


@contextmanager
def running(project: Project, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server of the project, up, while the block runs. Its address, account and token are in private/label_studio.json.

    It ends when we do. Raises LabelError when it runs already, the port is taken, or it does not come up: then with the last
    line of its log.
    """
    said = address(project)
    owner = {
        "email": said.get("email") or OWNER,
        "password": said.get("password") or secrets.token_urlsafe(12),
        "token": said.get("token") or secrets.token_hex(20),
    }
    url = f"http://127.0.0.1:{port}"
    folder = project.private / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    project.released.mkdir(parents=True, exist_ok=True)
    command = [str(program()), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    with open(folder / "server.log", "ab", opener=open_no_follow) as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the server holds it too, as long as it lives
        except BlockingIOError as e:
            raise LabelError(f"Label Studio runs for this project already, at {said.get('url')}", "End it there first") from e
        _free(port)  # Label Studio would quietly take the next one
        _write(project, said | owner | {"url": url})
        began = log.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            command, env=environment(project, owner), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        try:
            _wait(child, url, folder / "server.log", began)
            yield child
        finally:
            _end(child)


def environment(project: Project, account: dict[str, str]) -> dict[str, str]:
    """The settings of the server: it asks and sends nothing outside, and the files it serves are released ones.

    Its pages ask it for news from their makers' site whatever is set, and whoever has an account may give it addresses to fetch
    from or report to: all of it is sent NOWHERE.
    """
    ours = {
        "HOME": str(project.private / FOLDER),
        "http_proxy": NOWHERE,
        "https_proxy": NOWHERE,
        "LABEL_STUDIO_BASE_DATA_DIR": str(project.private / FOLDER),
        "LABEL_STUDIO_USERNAME": account["email"],
        "LABEL_STUDIO_PASSWORD": account["password"],
        "LABEL_STUDIO_USER_TOKEN": account["token"],
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_EDITOR_KEYMAP": json.dumps(keymap()),
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(project.served),
    }
    return {name: os.environ[name] for name in KEPT if name in os.environ} | ours


def keymap() -> dict[str, Any]:
    """Our keys for everybody on the server; what somebody sets for themselves goes before it."""
    keys = templates.hotkeys()["custom_hotkeys"]
    return {name.split(":", 1)[1]: key if key["active"] else key | {"key": None} for name, key in keys.items()}


def add_annotator(project: Project, email: str, group: str) -> dict[str, str]:
    """An account for somebody on the project's own server, which has to run: their email, password and token.

    They come in by an invitation, as anybody would: `label-studio init` would make another owner of them, who may see and change
    the accounts of all. Password and token are not kept here; who belongs to which group is written to private/annotators.csv.
    Raises LabelError when the server does not run, or the address is none or has an account.
    """
    import httpx

    email = email.strip().lower()  # as Label Studio keeps it
    if not re.fullmatch(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+", email):
        raise LabelError(f"{email!r} is not an e-mail address", "Label Studio knows people by one; it is never written to")
    said, known = address(project), annotators(project)
    if "url" not in said:
        raise LabelError("this project has no Label Studio of its own yet", f"Type: make label-studio PROJECT={project.root}")
    if any(a.email == email for a in known):
        raise LabelError(f"{email} has an account already", f"Its row is in private/{ANNOTATORS}")
    server = connect(said["url"], said["token"])
    password = secrets.token_urlsafe(9)
    with clearly(server.url, "making an account"), httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        link = client.get("/api/invite", headers={"Authorization": f"Token {server.token}"}).json()["invite_url"]
        client.get(link)
        form = {"email": email, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        if client.post(link, data=form, headers={"Referer": f"{server.url}{link}"}).status_code != httpx.codes.FOUND:
            raise LabelError(f"Label Studio made no account for {email}", "It may have one there already: then no row is needed")
        write_annotators(project, [*known, Annotator(email, group)])
        token = str(client.get("/api/current-user/token").json().get("token") or "")
    return {"email": email, "password": password, "token": token}


def write_annotators(project: Project, people: list[Annotator]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, ["email", "group"], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(who) for who in people)
    write_if_changed(project.private / ANNOTATORS, text.getvalue(), mode=0o600)


def _write(project: Project, said: dict[str, Any]) -> None:
    write_if_changed(project.private / ADDRESS, json.dumps(said, indent=1, sort_keys=True) + "\n", mode=0o600)


def _free(port: int) -> None:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError as e:
            raise LabelError(f"port {port} is taken: {e.strerror}", "Give another with --port (make: PORT=8090)") from e


def _wait(child: subprocess.Popen[bytes], url: str, log: Path, began: int) -> None:
    """Until the server says that it is up. What it wrote since it began stands in the log from there on."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise LabelError(f"Label Studio ended at once: {_last(log, began)}", f"Its log: {log}")
        with suppress(OSError), _DIRECTLY.open(f"{url}/health", timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise LabelError(f"Label Studio did not come up in {WAIT_S} s: {_last(log, began)}", f"Its log: {log}")


def _die_with_parent() -> None:
    """In the child: end when the process that started it does, however that ends (Linux)."""
    _LIBC.prctl(1, signal.SIGTERM)


def _end(child: subprocess.Popen[bytes]) -> None:
    """The server and whatever it started."""
    for how, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        if child.poll() is not None:
            return
        os.killpg(child.pid, how)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def _last(log: Path, began: int) -> str:
    said = log.read_bytes()[began:].decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
