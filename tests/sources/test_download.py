"""Videos are fetched from public addresses only, within limits, once, by their digest."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import deemo_data.sources.download as download_module
from deemo_data.errors import SourceError
from deemo_data.files import File
from deemo_data.sources.download import check_host, download_video, fetch_video, is_reachable
from deemo_data.sources.intake import IntakeOptions, take_in_sources
from deemo_data.sources.source_table import read_source_rows

ROOT = Path(__file__).resolve().parents[2]
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 200


class Site(BaseHTTPRequestHandler):
    """/a.mp4 is a video, /slow.mp4 one that never comes, /to?URL leads elsewhere."""

    asked: list[str] = []  # noqa: RUF012 - the server makes a new object for each request

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
        elif self.path.endswith(".mp4"):
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            if "unsaid" not in self.path:
                self.send_header("Content-Length", str(len(VIDEO)))
            self.end_headers()
            try:
                if "slow" in self.path:
                    self.server.over.wait(30)  # type: ignore[attr-defined]
                self.wfile.write(VIDEO)
            except (BrokenPipeError, ConnectionResetError):
                return
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def site() -> Iterator[str]:
    pytest.importorskip("yt_dlp", reason="the extra [download] is not installed")
    Site.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.over = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
     "2002:7f00:1::", "localhost", "example.org", ""],
)  # fmt: skip
def test_no_address_but_a_public_one_may_be_reached(address: str) -> None:
    assert not is_reachable(address)


def test_public_addresses_and_those_that_were_opened_may_be_reached() -> None:
    assert is_reachable("93.184.216.34")
    assert is_reachable("2606:2800:220:1::1")
    assert is_reachable("127.0.0.1", ("127.0.0.1/32",))
    assert not is_reachable("127.0.0.2", ("127.0.0.1/32",))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a.mp4", "http://localhost/a.mp4", "http://[::1]/a.mp4", "http://2130706433/", "http://0x7f.1/"]
)
def test_a_local_address_is_refused_before_anything_is_asked_of_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a public address"):
        download_video(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://example.org/a.mp4", "file:///etc/passwd", "http://", "http://[bad/"])
def test_only_http_and_https_are_addresses(url: str) -> None:
    with pytest.raises(SourceError):
        check_host(url)


def test_a_video_is_fetched_once_and_kept_under_its_digest(site: str, tmp_path: Path) -> None:
    path = download_video(f"{site}/a.mp4", tmp_path, allow_local_addresses=True)
    assert path.read_bytes() == VIDEO
    assert path.name == f"{File.of(path).sha256}.mp4"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([".lock", path.name, "downloads.json"])
    asked = len(Site.asked)
    assert download_video(f"{site}/a.mp4", tmp_path) == path
    assert len(Site.asked) == asked


def test_a_redirect_to_an_address_that_is_not_open_is_refused(site: str, tmp_path: Path) -> None:
    port = site.rsplit(":", 1)[1]
    assert fetch_video(f"{site}/to?/a.mp4", tmp_path, ("127.0.0.1/32",)).read_bytes() == VIDEO
    Site.asked = []
    with pytest.raises(SourceError, match=r"leads to 127\.0\.0\.2, which is not a public address"):
        fetch_video(f"{site}/to?http://127.0.0.2:{port}/b.mp4", tmp_path, ("127.0.0.1/32",))
    assert "/b.mp4" not in Site.asked


def test_a_redirect_to_a_file_gives_nothing(site: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        download_video(f"{site}/to?file:///etc/hostname", tmp_path, allow_local_addresses=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mp4", "unsaid.mp4"])
def test_a_video_that_is_too_large_is_refused_and_nothing_is_left(name: str, site: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is larger than 5000 bytes"):
        download_video(f"{site}/{name}", tmp_path, allow_local_addresses=True, max_bytes=5000)
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_takes_too_long_is_refused(site: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="was not there after 2 s"):
        download_video(f"{site}/slow.mp4", tmp_path, allow_local_addresses=True, max_seconds=2)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_not_there_is_refused_with_what_the_server_said(site: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="404"):
        download_video(f"{site}/page", tmp_path, allow_local_addresses=True)


def test_an_address_goes_through_ingest_like_a_file(
    site: str, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage = media / "video" / "asl_book.mkv"
    monkeypatch.setattr("tests.sources.test_download.VIDEO", footage.read_bytes())
    rows = read_source_rows(f"{site}/a.mp4")
    [refused] = take_in_sources(rows, IntakeOptions(b"x" * 32, tmp_path)).refusals
    assert "not a public address" in refused.reason
    [source] = take_in_sources(rows, IntakeOptions(b"x" * 32, tmp_path, allow_local_addresses=True)).sources
    assert source.files["source"].sha256 == File.of(footage).sha256
    assert site not in str(source.facts)


def test_without_yt_dlp_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(SourceError, match=r"yt-dlp is needed.*pip install 'deemo_data\[download\]'"):
        download_module._fetch_with_yt_dlp("http://example.org/a.mp4", tmp_path, (), 1000)


@pytest.mark.parametrize(
    "attempt",
    [
        "subprocess.run(['true', '-i', 'http://127.0.0.1/a.m3u8'])",
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.0.0.1', 53))",
        "socket.socket().connect(('localhost', 9))",
        "os.system('true')",
    ],
)
def test_the_fetching_process_can_do_nothing_but_connect_to_public_addresses(attempt: str) -> None:
    lines = [
        "import os, socket, subprocess",
        "from deemo_data.sources.download import _guard_connections",
        "_guard_connections('u', (), [])",
        "subprocess.run(['true'], check=True)",
        "try:",
        f"    {attempt}",
        "except PermissionError:",
        "    print('refused')",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "refused\n", done.stderr
