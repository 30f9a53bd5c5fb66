"""Runs a Label Studio server for one project, and makes accounts on it.

The server listens on 127.0.0.1 only, cannot connect to the outside, and serves no files but those in out/released. Its
database and log lie in private/label-studio.
"""

from __future__ import annotations

import ctypes
import fcntl
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
from pathlib import Path
from typing import Any

from deemo_data.annotation.label_studio.connection import connect, one_line_errors
from deemo_data.annotation.label_studio.workspace import (
    ANNOTATORS_FILE,
    SERVER_FOLDER,
    Annotator,
    read_address,
    read_annotators,
    write_address,
    write_annotators,
)
from deemo_data.annotation.pages import templates
from deemo_data.errors import LabelError
from deemo_data.files import open_no_follow
from deemo_data.project.project import Project

VENV = Path(__file__).resolve().parents[3] / ".venv-label-studio"
PROGRAM_VARIABLE = "DEEMO_LABEL_STUDIO"  # environment variable with the path of another label-studio program
OWNER_EMAIL = "owner@localhost.invalid"
START_TIMEOUT_S = 180  # enough for the first start on a slow machine
# Environment variables the server inherits. It gets no others: any other name may be a setting of Label Studio.
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
CLOSED_ADDRESS = "http://127.0.0.1:9"  # proxy of the server: nothing listens here, so every request to the outside is refused
_OPENER_WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # ignores the proxy of our environment
_LIBC = ctypes.CDLL(None)


def find_program() -> Path:
    """The path of the label-studio program, in its own venv. Raises LabelError when it is not installed."""
    program = Path(os.environ.get(PROGRAM_VARIABLE) or VENV / "bin" / "label-studio")
    if not program.is_file():
        raise LabelError(
            "Label Studio is not installed", f"Type: make label-studio-venv, or set {PROGRAM_VARIABLE} to its program"
        )
    return program


def run_server(project: Project, port: int, on_line: Callable[[str], None]) -> None:
    """Run the server until Ctrl-C. `on_line` gets the lines for the user: its address and how to sign in.

    Raises LabelError as `start_server` does, and when the server ends on its own.
    """
    if not (project.private_dir / SERVER_FOLDER).exists():
        on_line("The first start makes a database: about half a minute")
    with suppress(KeyboardInterrupt), start_server(project, port) as child:
        address = read_address(project)
        account = f"Sign in as {address['email']} with the password {address['password']}; access token {address['token']}"
        on_line(f"{address['url']}\n{account}")
        annotators = f"Annotators: deemo label-studio {project.root} --annotator EMAIL"
        on_line(f"{annotators}. Then: deemo push {project.root}. Ctrl-C ends it.")
        child.wait()
        log = project.private_dir / SERVER_FOLDER / "server.log"
        raise LabelError(f"Label Studio ended: {_last_line(log, 0)}", f"Its log: {log}")


@contextmanager
def start_server(project: Project, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server of the project, wait until it answers, and stop it at the end of the block.

    Its address, account and token are written to private/label_studio.json. The server also stops when our process dies.
    Raises LabelError when it runs already, when the port is taken, and, with the last line of its log, when it does not start.
    """
    address = read_address(project)
    owner = {
        "email": address.get("email") or OWNER_EMAIL,
        "password": address.get("password") or secrets.token_urlsafe(12),
        "token": address.get("token") or secrets.token_hex(20),
    }
    url = f"http://127.0.0.1:{port}"
    folder = project.private_dir / SERVER_FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    project.released_dir.mkdir(parents=True, exist_ok=True)
    command = [str(find_program()), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    with open(folder / "server.log", "ab", opener=open_no_follow) as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the server inherits the lock and holds it while it lives
        except BlockingIOError as e:
            raise LabelError(f"Label Studio runs for this project already, at {address.get('url')}", "End it there first") from e
        _check_port_is_free(port)  # otherwise Label Studio silently takes the next free port
        write_address(project, address | owner | {"url": url})
        log_start = log.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            command, env=server_environment(project, owner), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        try:
            _wait_until_up(child, url, folder / "server.log", log_start)
            yield child
        finally:
            _stop_server(child)


def server_environment(project: Project, account: dict[str, str]) -> dict[str, str]:
    """The environment of the server: it connects to nothing outside, and serves released files only.

    Two kinds of requests cannot be switched off: its pages ask it for news from the makers' web site, and people with an
    account can give it addresses to fetch from or to report to. The proxy CLOSED_ADDRESS refuses all of them.

    account  email, password and token of the owner
    """
    settings = {
        "HOME": str(project.private_dir / SERVER_FOLDER),
        "http_proxy": CLOSED_ADDRESS,
        "https_proxy": CLOSED_ADDRESS,
        "LABEL_STUDIO_BASE_DATA_DIR": str(project.private_dir / SERVER_FOLDER),
        "LABEL_STUDIO_USERNAME": account["email"],
        "LABEL_STUDIO_PASSWORD": account["password"],
        "LABEL_STUDIO_USER_TOKEN": account["token"],
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_EDITOR_KEYMAP": json.dumps(editor_keymap()),
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(project.served_dir),
    }
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | settings


def editor_keymap() -> dict[str, Any]:
    """Our hotkeys as the default for everybody on the server. The keys that somebody sets in their account take precedence."""
    keys = templates.read_hotkeys()["custom_hotkeys"]
    return {name.split(":", 1)[1]: key if key["active"] else key | {"key": None} for name, key in keys.items()}


def add_annotator(project: Project, email: str, group: str) -> dict[str, str]:
    """Make an account on the project's own server, which must be running. Returns its email, password and token.

    The account is made through an invitation: `label-studio init` would make another owner, who can see and change all
    accounts. The e-mail address and the group are added to private/annotators.csv; password and token are not stored.
    Raises LabelError when the server does not run, or when the address is invalid or has an account already.
    """
    import httpx

    email = email.strip().lower()  # as Label Studio stores it
    if not re.fullmatch(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+", email):
        raise LabelError(f"{email!r} is not an e-mail address", "Label Studio knows people by one; it is never written to")
    address, annotators = read_address(project), read_annotators(project)
    if "url" not in address:
        raise LabelError("this project has no Label Studio of its own yet", f"Type: make label-studio PROJECT={project.root}")
    if any(a.email == email for a in annotators):
        raise LabelError(f"{email} has an account already", f"Its row is in private/{ANNOTATORS_FILE}")
    server = connect(address["url"], address["token"])
    password = secrets.token_urlsafe(9)
    with (
        one_line_errors(server.url, "making an account"),
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        link = client.get("/api/invite", headers={"Authorization": f"Token {server.token}"}).json()["invite_url"]
        client.get(link)
        form = {"email": email, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        if client.post(link, data=form, headers={"Referer": f"{server.url}{link}"}).status_code != httpx.codes.FOUND:
            raise LabelError(f"Label Studio made no account for {email}", "It may have one there already: then no row is needed")
        write_annotators(project, [*annotators, Annotator(email, group)])
        token = str(client.get("/api/current-user/token").json().get("token") or "")
    return {"email": email, "password": password, "token": token}


def _check_port_is_free(port: int) -> None:
    """Raises LabelError when another program listens on the port."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError as e:
            raise LabelError(f"port {port} is taken: {e.strerror}", "Give another with --port (make: PORT=8090)") from e


def _wait_until_up(child: subprocess.Popen[bytes], url: str, log: Path, log_start: int) -> None:
    """Wait until the server answers. Raises LabelError when it ends, or does not answer in START_TIMEOUT_S.

    log_start  offset in the log at which the output of this start begins, in bytes
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise LabelError(f"Label Studio ended at once: {_last_line(log, log_start)}", f"Its log: {log}")
        with suppress(OSError), _OPENER_WITHOUT_PROXY.open(f"{url}/health", timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise LabelError(f"Label Studio did not come up in {START_TIMEOUT_S} s: {_last_line(log, log_start)}", f"Its log: {log}")


def _die_with_parent() -> None:
    """Runs in the child: make the kernel end it when its parent dies for any reason (Linux)."""
    _LIBC.prctl(1, signal.SIGTERM)


def _stop_server(child: subprocess.Popen[bytes]) -> None:
    """Stop the server and its child processes: terminate, then kill."""
    for signal_number, timeout_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        if child.poll() is not None:
            return
        os.killpg(child.pid, signal_number)
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            continue


def _last_line(log: Path, log_start: int) -> str:
    """The last line that is not empty in the log after the offset `log_start`."""
    lines = log.read_bytes()[log_start:].decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
