"""`deemo review`: a page on this machine where the data owner looks at masked clips and covers what was missed.

Never for annotators: clips that failed their release are shown here, and the footage itself to whoever asks for it. So it
answers at 127.0.0.1 only, to whoever has the token in its address, to no other host name and no other site, and nothing may be
kept. What can be asked is in review_desk.py.
"""

from __future__ import annotations

import json
import secrets
import socketserver
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from deemo_data.clip import Clip, Facts
from deemo_data.errors import ConfigError, DeemoError, LabelError, SourceError
from deemo_data.project.project import Project
from deemo_data.review.actions import Desk, Rerun, original, shown

PAGES = {
    "": ("review.html", "text/html"),
    "review.css": ("review.css", "text/css"),
    "review.js": ("review.js", "text/javascript"),
    "review.svg": ("review.svg", "image/svg+xml"),
}
MOST = 64 * 1024  # bytes that the page may send
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Door(ThreadingHTTPServer):
    """Serves the page of one project to this machine. `with Door(project) as door: door.serve_forever()`."""

    daemon_threads = True

    def __init__(self, project: Project, port: int = 0) -> None:
        self.desk = Desk(project.root, Rerun(project.root))
        self.token = secrets.token_urlsafe(32)
        try:
            super().__init__(("127.0.0.1", port), Answer)
        except OSError as e:
            raise ConfigError(f"port {port} cannot be had: {e.strerror}", "Leave --port out, and a free one is taken") from e

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # http.server's own would ask the network for this machine's name
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Until somebody presses Ctrl-C, or calls `shutdown`."""
        with suppress(KeyboardInterrupt):
            super().serve_forever(poll_interval)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed in the middle of an answer is no fault, and nothing for the terminal."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class Answer(BaseHTTPRequestHandler):
    """One request. Nothing in an address becomes a path: pages and clips are looked up by name."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Door

    def version_string(self) -> str:
        return "deemo"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: addresses hold the token."""

    def answer(self) -> None:
        try:
            if not self._may_ask():
                self.close_connection = True
                self._say({"error": "refused", "advice": "Open the address that deemo review printed"}, 403)
            else:
                self._route(self.command, self.path.partition("?")[0].split("/")[2:])
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except DeemoError as e:
            self._say({"error": e.what, "advice": e.advice}, 400)
        except OSError as e:
            self.close_connection = True
            self._say({"error": f"{e.strerror or e}", "advice": "Mend that and try again; nothing is lost"}, 500)

    do_GET = do_HEAD = do_POST = do_DELETE = do_OPTIONS = answer

    def _may_ask(self) -> bool:
        """The page itself, asking this machine by its own name: not another site, nor a name that was bent to point here."""
        hosts, origin = self.headers.get_all("Host", []), self.headers.get("Origin")
        names = [f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")]
        if len(hosts) != 1 or hosts[0] not in names:
            return False
        if origin != f"http://{hosts[0]}" and (origin or self.command not in ("GET", "HEAD")):
            return False
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return False
        token = self.path.partition("?")[0].split("/")[1:2]
        return bool(token) and secrets.compare_digest(token[0].encode(), self.server.token.encode())

    def _route(self, method: str, parts: list[str]) -> None:
        desk = self.server.desk
        match ("GET" if method == "HEAD" else method), parts:
            case "GET", [name] if name in PAGES:
                file, kind = PAGES[name]
                self._send(resources.files("deemo_data.review").joinpath(file).read_bytes(), f"{kind}; charset=utf-8")
            case "GET", ["api", "clips"]:
                self._say(desk.overview())
            case "GET", ["api", "run"]:
                self._say(desk.rerun.said)
            case "GET", ["api", "clip", name] if clip := desk.clip(name):
                self._say(desk.look(clip))
            case "GET", ["video", name] if (clip := desk.clip(name)) and (path := shown(clip)):
                self._send_part(path)
            case "GET", ["original", name, frame] if clip := desk.clip(name):
                self._original(clip, frame)
            case "POST", ["api", "run"]:
                self._said()
                self._say(desk.rerun.start())
            case "POST", ["api", "boxes"]:
                self._say(desk.add_box(self._said()), 201)
            case "POST", ["api", "withheld"]:
                self._say(desk.withhold(self._said()), 201)
            case "DELETE", ["api", "boxes", name]:
                self._say(desk.remove_box(name))
            case "DELETE", ["api", "withheld", name]:
                self._say(desk.allow(name))
            case _:
                self.close_connection = True
                self._say({"error": "there is nothing here", "advice": "Load the page again"}, 404)

    def _said(self) -> Facts:
        """What the page sent: a JSON object. A form of another site cannot send this type."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not length.isdecimal() or int(length) > MOST:
            self.close_connection = True
            raise LabelError("the page sent something that is not JSON", "Load the page again")
        try:
            said = json.loads(self.rfile.read(int(length)))
        except ValueError as e:
            raise LabelError(f"the page sent JSON that cannot be read: {e}", "Load the page again") from e
        if not isinstance(said, dict):
            raise LabelError("the page sent JSON that is not an object", "Load the page again")
        return said

    def _original(self, clip: Clip, frame: str) -> None:
        if not frame.isdecimal() or int(frame) >= clip.num_frames:
            raise SourceError(f"there is no frame {frame} in the clip", f"It has frames 0 to {clip.num_frames - 1}")
        self._send(original(clip, int(frame)), "image/jpeg")

    def _say(self, content: Facts, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_part(self, path: Path) -> None:
        """A video, or the part of it that a player asks for when it seeks (RFC 9110, 14.2; one range)."""
        with open(path, "rb") as f:
            size = f.seek(0, 2)
            headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
            asked = part_of(self.headers.get("Range", ""), size)
            start, end = asked or (0, size)
            if start >= end:
                self._head(416, headers | {"Content-Length": "0", "Content-Range": f"bytes */{size}"})
                return
            about = {"Content-Range": f"bytes {start}-{end - 1}/{size}"} if asked else {}
            self._head(206 if asked else 200, headers | about | {"Content-Length": str(end - start)})
            if self.command == "HEAD":
                return
            f.seek(start)
            while start < end and (chunk := f.read(min(64 * 1024, end - start))):
                self.wfile.write(chunk)
                start += len(chunk)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (HEADERS | headers).items():
            self.send_header(name, value)
        self.end_headers()


def part_of(asked: str, size: int) -> tuple[int, int] | None:
    """The bytes [start, end) that a Range header asks for; None when it asks for nothing that we understand."""
    unit, _, spans = asked.partition("=")
    first, dash, last = spans.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first or last) or not all(not v or v.isdecimal() for v in (first, last)):
        return None
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1 if last else size, size)
