"""`deemo review`: a page on this machine where the owner of the data looks at masked clips and covers what was missed.

The page is not for annotators: it shows clips that failed the leak check, and the footage itself. The server therefore listens
on 127.0.0.1 only, answers only requests with the token of its address, refuses other host names and other sites, and forbids
caching. The actions behind the requests are in actions.py.
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
from deemo_data.review.actions import BackgroundRun, ReviewActions, playable_video_of, read_original_frame

PAGE_FILES = {
    "": ("review.html", "text/html"),
    "review.css": ("review.css", "text/css"),
    "review.js": ("review.js", "text/javascript"),
    "review.svg": ("review.svg", "image/svg+xml"),
}
MAX_BODY_BYTES = 64 * 1024  # of the body of a request
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


class ReviewServer(ThreadingHTTPServer):
    """Serves the page of one project to this machine: `with ReviewServer(project) as server: server.serve_forever()`."""

    daemon_threads = True

    def __init__(self, project: Project, port: int = 0) -> None:
        self.actions = ReviewActions(project.root, BackgroundRun(project.root))
        self.token = secrets.token_urlsafe(32)
        try:
            super().__init__(("127.0.0.1", port), RequestHandler)
        except OSError as e:
            raise ConfigError(f"port {port} cannot be had: {e.strerror}", "Leave --port out, and a free one is taken") from e

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # not http.server's version, which asks the network for the name of this machine
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until Ctrl-C, or until another thread calls `shutdown`."""
        with suppress(KeyboardInterrupt):
            super().serve_forever(poll_interval)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors, except when the browser closed the connection during an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """The address of the page, with the token."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class RequestHandler(BaseHTTPRequestHandler):
    """Handles one request. No part of an address is used as a path: files and clips are looked up by name."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: ReviewServer

    def version_string(self) -> str:
        """The header `Server`, without versions."""
        return "deemo"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because addresses contain the token."""

    def answer_request(self) -> None:
        """Answer a request of any method; errors become JSON with `error` and `advice`."""
        try:
            if not self._is_allowed():
                self.close_connection = True
                self._send_json({"error": "refused", "advice": "Open the address that deemo review printed"}, 403)
            else:
                self._route(self.command, self.path.partition("?")[0].split("/")[2:])
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except DeemoError as e:
            self._send_json({"error": e.what, "advice": e.advice}, 400)
        except OSError as e:
            self.close_connection = True
            self._send_json({"error": f"{e.strerror or e}", "advice": "Mend that and try again; nothing is lost"}, 500)

    do_GET = do_HEAD = do_POST = do_DELETE = do_OPTIONS = answer_request

    def _is_allowed(self) -> bool:
        """Whether the page itself sent the request: with the token, to this machine by its own name, and from no other site.

        The check of the host name stops DNS rebinding.
        """
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
        """Run the action that an address stands for, and send its result."""
        actions = self.server.actions
        match ("GET" if method == "HEAD" else method), parts:
            case "GET", [name] if name in PAGE_FILES:
                file, kind = PAGE_FILES[name]
                self._send(resources.files("deemo_data.review").joinpath(file).read_bytes(), f"{kind}; charset=utf-8")
            case "GET", ["api", "clips"]:
                self._send_json(actions.list_clips())
            case "GET", ["api", "run"]:
                self._send_json(actions.rerun.status)
            case "GET", ["api", "clip", name] if clip := actions.find_clip(name):
                self._send_json(actions.describe_clip(clip))
            case "GET", ["video", name] if (clip := actions.find_clip(name)) and (path := playable_video_of(clip)):
                self._send_part(path)
            case "GET", ["original", name, frame] if clip := actions.find_clip(name):
                self._send_original(clip, frame)
            case "POST", ["api", "run"]:
                self._read_json()
                self._send_json(actions.rerun.start())
            case "POST", ["api", "boxes"]:
                self._send_json(actions.add_box(self._read_json()), 201)
            case "POST", ["api", "withheld"]:
                self._send_json(actions.withhold_clip(self._read_json()), 201)
            case "DELETE", ["api", "boxes", name]:
                self._send_json(actions.remove_box(name))
            case "DELETE", ["api", "withheld", name]:
                self._send_json(actions.allow_span(name))
            case _:
                self.close_connection = True
                self._send_json({"error": "there is nothing here", "advice": "Load the page again"}, 404)

    def _read_json(self) -> Facts:
        """The JSON object in the body of a request. A form of another site cannot send this content type."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise LabelError("the page sent something that is not JSON", "Load the page again")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except ValueError as e:
            raise LabelError(f"the page sent JSON that cannot be read: {e}", "Load the page again") from e
        if not isinstance(request, dict):
            raise LabelError("the page sent JSON that is not an object", "Load the page again")
        return request

    def _send_original(self, clip: Clip, frame: str) -> None:
        """Send a frame of the footage. Raises SourceError for a frame that the clip does not have."""
        if not frame.isdecimal() or int(frame) >= clip.num_frames:
            raise SourceError(f"there is no frame {frame} in the clip", f"It has frames 0 to {clip.num_frames - 1}")
        self._send(read_original_frame(clip, int(frame)), "image/jpeg")

    def _send_json(self, content: Facts, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self._send_headers(status, {"Content-Type": kind, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_part(self, path: Path) -> None:
        """Send a video, or the one range of bytes that a player requests when it seeks (RFC 9110, section 14.2)."""
        with open(path, "rb") as f:
            size = f.seek(0, 2)
            headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
            requested = parse_range(self.headers.get("Range", ""), size)
            start, end = requested or (0, size)
            if start >= end:
                self._send_headers(416, headers | {"Content-Length": "0", "Content-Range": f"bytes */{size}"})
                return
            range_header = {"Content-Range": f"bytes {start}-{end - 1}/{size}"} if requested else {}
            self._send_headers(206 if requested else 200, headers | range_header | {"Content-Length": str(end - start)})
            if self.command == "HEAD":
                return
            f.seek(start)
            while start < end and (chunk := f.read(min(64 * 1024, end - start))):
                self.wfile.write(chunk)
                start += len(chunk)

    def _send_headers(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (HEADERS | headers).items():
            self.send_header(name, value)
        self.end_headers()


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The bytes [start, end) of a Range header; None for a header with another unit, several ranges, or none."""
    unit, _, spans = header.partition("=")
    first, dash, last = spans.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first or last) or not all(not v or v.isdecimal() for v in (first, last)):
        return None
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1 if last else size, size)
