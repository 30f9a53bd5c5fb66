"""Makers that tests of several packages share; taken from models/test_language_model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Script = Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]


class StandIn:
    """An OpenAI-compatible service. answers: one a request, the last one again and again; got: every byte that came in."""

    def __init__(self) -> None:
        self.answers: list[Script] = []
        self.got: list[bytes] = []
        self.bodies: list[dict[str, Any]] = []
        self.drip_s = 0.0
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                stand_in.got.append(f"{self.requestline}\n{self.headers}".encode() + body)
                stand_in.bodies.append(json.loads(body))
                script = stand_in.answers[min(len(stand_in.got), len(stand_in.answers)) - 1]
                status, headers, answer = script(stand_in.bodies[-1])
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(answer))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                pieces = [answer[i : i + 5] for i in range(0, len(answer), 5)] if stand_in.drip_s else [answer]
                try:
                    for piece in pieces:
                        self.wfile.write(piece)
                        self.wfile.flush()
                        time.sleep(stand_in.drip_s)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it did not want to wait

            def do_GET(self) -> None:
                stand_in.got.append(self.requestline.encode())
                self.send_error(405)

            def log_message(self, *said: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


def completion(text: Any, ended: str = "stop") -> bytes:
    if not isinstance(text, str):
        text = json.dumps(text)
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ended}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice]}).encode()


def always(status: int, body: bytes, **headers: str) -> Script:
    return lambda asked: (status, headers, body)
