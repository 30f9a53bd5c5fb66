"""The review page: who may ask, and, in a real browser, that what is drawn is what is written down, at the very frame."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deemo_data import pseudonyms
from deemo_data.clip import Clip, Grid, write_clips
from deemo_data.errors import ConfigError
from deemo_data.files import File
from deemo_data.media import encode, ffmpeg, frames, probe, sound
from deemo_data.project import corrections, release
from deemo_data.project.clips import read_current_clips, read_project_clips
from deemo_data.project.project import Project
from deemo_data.review import actions, server
from deemo_data.workflow import ingest, run, segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-quic",
]  # fmt: skip
WIDTH, HEIGHT, FRAMES = 320, 240, 120
BITS, SIDE = 8, 40  # a frame's number, in black and white squares along the bottom


def numbered(n: int) -> NDArray[np.uint8]:
    """A picture that says which it is, for people and for `number_in`."""
    import cv2
    import numpy as np

    bgr = np.full((HEIGHT, WIDTH, 3), (120, 90, 60), np.uint8)
    cv2.circle(bgr, (40 + 2 * n % 240, 110), 30, (90, 140, 210), -1)
    cv2.putText(bgr, str(n), (10, 60), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 4)
    for bit in range(BITS):
        bgr[HEIGHT - SIDE :, bit * SIDE : (bit + 1) * SIDE] = 255 if n >> bit & 1 else 0
    return bgr


def number_in(png: bytes) -> int:
    import cv2
    import numpy as np

    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    high, wide = grey.shape
    y, xs = round(high * (1 - SIDE / 2 / HEIGHT)), [round(wide * (bit + 0.5) * SIDE / WIDTH) for bit in range(BITS)]
    return sum(1 << bit for bit, x in enumerate(xs) if grey[y, x] > 127)


def footage(path: Path, fps: Fraction) -> Clip:
    """A source of numbered frames, as `deemo ingest` would take it in."""
    import cv2

    grid = Grid(fps, False, Fraction(0), FRAMES, WIDTH, HEIGHT)
    pictures = (cv2.cvtColor(numbered(n), cv2.COLOR_BGR2YUV_I420) for n in range(FRAMES))
    encode.write_video(path, pictures, grid, 10, "veryfast")  # type: ignore[arg-type]
    facts = probe.probe_video(path)
    assert facts["grid"]["fps"] == str(fps)
    facts |= {"consent": {"statement": "yes", "asserted": False}, "subject": "s-1", "subject_assumed": False, "licence": None}
    return Clip("0123456789ab", "0123456789ab", 0, facts.pop("duration_ms"), {"source": File.of(path)}, facts)


def made_of(source: Clip, start: int, end: int, store: Path, leaking: tuple[int, ...] = ()) -> Clip:
    """The clip of these frames of the source with what the stages make of it. Nothing is masked; `leaking` frames have a hit."""
    import numpy as np

    grid = source.grid
    clip = Clip.of_span(source, grid.ms_at(start), grid.ms_at(end))
    store.mkdir(exist_ok=True)
    names = {"masked": "masked.mp4", "voice": "voice.wav", "safe": "safe.mp4", "leaks": "leaks.json"}
    paths = {n: store / f"{clip.id}.{names.get(n, n)}" for n in {*names, *release.PUBLIC_FILES}}
    encode.write_video(paths["masked"], (f.yuv() for f in frames.read_frames(clip)), grid, 10, "veryfast")
    tone = 0.1 * np.sin(np.arange(sound.frames_to_samples(clip.num_frames, grid.fps)) / 10)
    sound.write_wav(paths["voice"], tone)
    ffmpeg.join_video_and_sound(paths["masked"], paths["voice"], paths["safe"])
    hit = {"box": [80.0, 60.0, 160.0, 150.0], "score": 0.91, "on_face": True, "presence": None, "leaks": True}
    weak = {"box": [200.0, 90.0, 240.0, 130.0], "score": 0.55, "on_face": False, "presence": 0.0, "leaks": False, "frame": 3}
    said = {"looked_at": clip.num_frames, "frames": [*leaking], "hits": [weak, *({"frame": k, **hit} for k in leaking)]}
    paths["leaks"].write_text(json.dumps(said))
    for name in set(paths) - set(names):
        paths[name].write_text(f"{name} of {clip.id}")
    return clip.with_results({n: File.of(p) for n, p in paths.items()}, {"leaks_passed": not leaking, "leaks_summary": {}})


@pytest.fixture(scope="module", params=[Fraction(25)], ids=str)
def clips(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Frames 30-110 with faces that show in frames 20-24 and 50, 0-30 and 100-120 without any."""
    folder = tmp_path_factory.mktemp("footage")
    source = footage(folder / "interview.mp4", request.param)
    spans = [(30, 110, (20, 21, 22, 23, 24, 50)), (0, 30, ()), (100, 120, ())]
    return [source, *(made_of(source, a, b, folder / "store", leaking) for a, b, leaking in spans)]


@dataclass
class Open:
    """A project whose page is being served."""

    project: Project
    door: server.ReviewServer
    refused: Clip
    released: Clip
    last: Clip

    def ask(self, method: str, path: str, said: Any = None, token: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One request, as the page would make it, but for `headers` (a _ is a -) and `token`."""
        host = f"127.0.0.1:{self.door.server_port}"
        send = {"Host": host, **({"Origin": f"http://{host}"} if method in ("POST", "DELETE") else {})}
        body = None if said is None else json.dumps(said).encode()
        if body is not None:
            send["Content-Type"] = "application/json"
        send |= {k.replace("_", "-"): v for k, v in headers.items()}
        line = http.client.HTTPConnection(host, timeout=20)
        line.putrequest(method, f"/{token or self.door.token}/{path}", skip_host=True)
        for name, value in ({"Content-Length": str(len(body or b""))} | send).items():
            if value:
                line.putheader(name, value)
        line.endheaders(body)
        answer = line.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        line.close()
        return found

    def get(self, path: str) -> Any:
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def outside(self, clip: Clip) -> Path:
        return self.project.released_dir / f"{pseudonyms.derive_public_id(self.project.secret, 'c', clip.id)}.mp4"

    def lines(self) -> list[dict[str, Any]]:
        path = self.project.root / "corrections" / "boxes.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def serving(project: Project) -> Iterator[server.ReviewServer]:
    with server.ReviewServer(project) as door:
        thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield door
        finally:
            door.shutdown()
            thread.join()


@pytest.fixture
def opened(clips: list[Clip], tmp_path: Path) -> Iterator[Open]:
    source, refused, released, last = clips
    project = Project.make(tmp_path / "study")
    (project.root / "deemo.toml").write_text("")  # every stage as it is by default
    write_clips([source], project.root / "sources.jsonl")
    made = [replace(c, files={n: f for n, f in c.files.items() if n != "source"}) for c in clips[1:]]
    write_clips(made, project.root / "clips.jsonl")
    release.release_clips(read_project_clips(project), project)
    with serving(project) as door:
        yield Open(project, door, refused, released, last)


# ── who may ask ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_is_all_ours(opened: Open) -> None:
    for name in server.PAGE_FILES:
        status, headers, body = opened.ask("GET", name)
        assert status == 200
        assert body
        assert b"://" not in body.replace(b"http://www.w3.org/2000/svg", b""), "nothing from elsewhere"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Python" not in headers["Server"]
        assert "Access-Control-Allow-Origin" not in headers


def test_it_listens_on_this_machine_only(opened: Open) -> None:
    assert opened.door.server_address[0] == "127.0.0.1"
    assert opened.door.address.startswith(f"http://127.0.0.1:{opened.door.server_port}/")
    assert len(opened.door.token) >= 40


ROUTES = [
    ("GET", ""), ("GET", "review.js"), ("GET", "api/clips"), ("GET", "api/clip/{id}"), ("GET", "video/{id}"),
    ("GET", "original/{id}/0"), ("HEAD", "video/{id}"), ("POST", "api/boxes"), ("DELETE", "api/boxes/x"), ("POST", "api/run"),
    ("POST", "api/withheld"), ("OPTIONS", "api/boxes"),
]  # fmt: skip
STRANGERS: list[dict[str, str]] = [
    {"token": "x" * 43}, {"token": "%C3%A9"}, {"Host": "attacker.example"}, {"Host": "127.0.0.1:1"}, {"Host": ""},
    {"Host": "127.0.0.1"},
    {"Origin": "http://attacker.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
]  # fmt: skip


@pytest.mark.parametrize("stranger", STRANGERS, ids=str)
def test_strangers_are_refused(opened: Open, stranger: dict[str, str]) -> None:
    for method, path in ROUTES:
        body = {"clip": opened.refused.id, "start_frame": 0, "end_frame": 5, "box": [0.1, 0.1, 0.2, 0.2]}
        said = body if method == "POST" else None
        status, _, answer = opened.ask(method, path.format(id=opened.refused.id), said, **stranger)
        assert status == 403, (method, path)
        assert opened.refused.id.encode() not in answer
    assert opened.lines() == []
    assert not opened.door.actions.rerun.status["running"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_change_has_to_say_where_it_comes_from(opened: Open, method: str) -> None:
    assert opened.ask(method, "api/boxes/x", {} if method == "POST" else None, Origin="")[0] == 403


def test_nothing_without_a_token(opened: Open) -> None:
    for path in (b"/", b"//", b"/favicon.ico", b"/api/clips", b"/..", b"http://127.0.0.1/", b"*", b"http://["):
        with socket.create_connection(opened.door.server_address, timeout=10) as line:
            host = f"127.0.0.1:{opened.door.server_port}".encode()
            line.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
            assert b" 403 " in line.makefile("rb").readline(), path


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd", "..%2f..%2fetc/passwd", "video/../private/secret.key", "video/..%2f..%2fprivate%2fsecret.key",
        "video//etc/passwd", "review.html", "review.py", "./review.css/..", "original/../../private/secret.key/0", "video/",
        "video/0123456789ab-0-1", "api/clip/..", "api/clip/", "private/secret.key", "%2e%2e/private/secret.key", "review.js%00",
    ],
)  # fmt: skip
def test_an_address_never_becomes_a_path(opened: Open, path: str) -> None:
    status, _, body = opened.ask("GET", path)
    assert status == 404, body
    assert b"root:" not in body
    assert opened.project.secret.hex().encode() not in body


@pytest.mark.parametrize(
    ("said", "headers", "says"),
    [
        (None, {"Content_Type": "text/plain"}, "not JSON"),
        ({}, {"Content_Type": "text/plain"}, "not JSON"),
        ({}, {"Content_Length": "99999999"}, "not JSON"),
        ([1], {}, "not an object"),
        ({"clip": "nobody"}, {}, "no clip"),
    ],
)
def test_what_the_page_would_not_send_is_refused(opened: Open, said: Any, headers: dict[str, str], says: str) -> None:
    status, _, body = opened.ask("POST", "api/boxes", said, **headers)
    assert status == 400
    assert says in json.loads(body)["error"]
    assert opened.lines() == []


@pytest.mark.parametrize(
    "change",
    [
        {"start_frame": -1}, {"end_frame": 81}, {"start_frame": 7, "end_frame": 7}, {"start_frame": 1.5}, {"start_frame": True},
        {"end_frame": "9"}, {"box": None}, {"box": [0, 0, 1]}, {"box": [0.5, 0, 0.5, 1]}, {"box": [0, 0, 1, 1.1]},
        {"box": [0, 0, 1, 10**400]}, {"box": "0123"}, {"box": [0, 0, float("nan"), 1]}, {"box": [0, 0, "1", 1]},
    ],
    ids=str,
)  # fmt: skip
def test_a_box_that_makes_no_sense_is_refused(opened: Open, change: dict[str, Any]) -> None:
    said = {"clip": opened.refused.id, "start_frame": 0, "end_frame": 5, "box": [0.1, 0.1, 0.2, 0.2]}
    status, _, body = opened.ask("POST", "api/boxes", said | change)
    assert status == 400, body
    assert json.loads(body)["advice"]
    assert opened.lines() == []


def test_a_port_that_is_taken(opened: Open) -> None:
    with pytest.raises(ConfigError, match=f"port {opened.door.server_port}"):
        server.ReviewServer(opened.project, opened.door.server_port)


def test_a_video_comes_in_parts(opened: Open) -> None:
    whole = opened.refused.path("safe").read_bytes()
    status, headers, body = opened.ask("GET", f"video/{opened.refused.id}")
    assert (status, body, headers["Accept-Ranges"]) == (200, whole, "bytes")
    for asked, start, end in (("0-", 0, len(whole)), ("100-199", 100, 200), ("-7", len(whole) - 7, len(whole)), ("5-5", 5, 6),
                              ("10-99999999", 10, len(whole))):  # fmt: skip
        status, headers, body = opened.ask("GET", f"video/{opened.refused.id}?v=1", Range=f"bytes={asked}")
        assert (status, body) == (206, whole[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole)}"
    status, headers, body = opened.ask("GET", f"video/{opened.refused.id}", Range=f"bytes={len(whole)}-")
    assert (status, headers["Content-Range"], body) == (416, f"bytes */{len(whole)}", b"")
    for odd in ("bytes=1-2,5-6", "lines=1-2", "bytes=a-b", "bytes=-", "bytes"):
        assert opened.ask("GET", f"video/{opened.refused.id}", Range=odd)[2] == whole
    status, headers, body = opened.ask("HEAD", f"video/{opened.refused.id}")
    assert (status, headers["Content-Length"], body) == (200, str(len(whole)), b"")


def test_the_footage_is_shown_frame_by_frame(opened: Open) -> None:
    for frame in (0, 9, 10, 79):
        status, headers, body = opened.ask("GET", f"original/{opened.refused.id}/{frame}")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert number_in(body) == 30 + frame
    for frame in ("80", "-1", "x"):
        assert opened.ask("GET", f"original/{opened.refused.id}/{frame}")[0] == 400


def test_the_pages_are_in_the_package() -> None:
    from fnmatch import fnmatch

    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    taken = tomllib.loads(text)["tool"]["setuptools"]["package-data"]["*"]
    assert [file for file, _ in server.PAGE_FILES.values() if not any(fnmatch(file, pattern) for pattern in taken)] == []


def test_from_the_command_line(opened: Open) -> None:
    """It prints the address, the address works, and Ctrl-C ends it without complaint."""
    import signal
    import subprocess
    import sys

    command = [sys.executable, "-m", "deemo_data.cli", "review", str(opened.project.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        found = re.search(r"127\.0\.0\.1:(\d+)(/[\w-]{40,}/)", process.stdout.readline())
        assert found
        line = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
        line.request("GET", found[2])
        assert line.getresponse().status == 200
        line.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_a_page_that_was_closed_is_not_told_of(opened: Open, capfd: pytest.CaptureFixture[str]) -> None:
    import socket
    import struct

    host, port = opened.door.server_address[:2]
    for _ in range(5):
        line = socket.create_connection((str(host), int(port)), timeout=20)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets the connection
        line.sendall(f"GET /x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())
        line.close()
    assert opened.get("api/clips")["clips"]
    assert capfd.readouterr().err == ""


# ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────


def test_states(opened: Open) -> None:
    said = {c["id"]: c for c in opened.get("api/clips")["clips"]}
    assert [said[c.id]["state"] for c in (opened.refused, opened.released, opened.last)] == ["refused", "released", "released"]
    assert "saw a face in 6 of 80 frames" in said[opened.refused.id]["why"]
    looked = opened.get(f"api/clip/{opened.refused.id}")
    assert [h["frame"] for h in looked["hits"] if h["leaks"]] == [20, 21, 22, 23, 24, 50]
    assert looked["hits"][1]["box"] == [0.25, 0.25, 0.5, 0.625]


def test_a_box_takes_back_every_clip_it_is_about(opened: Open) -> None:
    assert opened.outside(opened.last).exists()
    said = {"clip": opened.refused.id, "start_frame": 69, "end_frame": 71, "box": [0.1, 0.2, 0.3, 0.4]}
    status, _, body = opened.ask("POST", "api/boxes", said)
    assert status == 201
    assert json.loads(body)["revoked"] == [opened.outside(opened.last).stem], "its frame 0 is frame 70 of this one"
    assert not opened.outside(opened.last).exists()
    assert not opened.outside(opened.last).with_suffix(".body.parquet").exists()
    assert opened.outside(opened.released).exists(), "and no other"
    (line,) = opened.lines()
    assert (line["source"], line["start_ms"], line["end_ms"], line["box"]) == ("0123456789ab", 3960, 4040, [0.1, 0.2, 0.3, 0.4])
    said = {c["id"]: c for c in opened.get("api/clips")["clips"]}
    assert said[opened.last.id]["state"] == "waiting"
    assert said[opened.last.id]["boxes"] == said[opened.refused.id]["boxes"] == 1
    (box,) = opened.get(f"api/clip/{opened.last.id}")["boxes"]
    assert (box["start_frame"], box["end_frame"]) == (0, 1)


def test_a_changed_box_replaces_the_old_one(opened: Open) -> None:
    said = {"clip": opened.refused.id, "start_frame": 0, "end_frame": 5, "box": [0.1, 0.1, 0.2, 0.2]}
    first = json.loads(opened.ask("POST", "api/boxes", said)[2])["id"]
    second = json.loads(opened.ask("POST", "api/boxes", said | {"end_frame": 9, "replaces": first})[2])["id"]
    assert [b.id for b in corrections.read_boxes(opened.project.root)] == [second]
    assert [line.get("removes") for line in opened.lines()] == [None, None, first]
    status, _, body = opened.ask("DELETE", f"api/boxes/{first}")
    assert status == 400
    assert "no" in json.loads(body)["error"]


def test_a_withheld_clip_is_taken_back_and_may_be_given_back(opened: Open) -> None:
    status, _, body = opened.ask("POST", "api/withheld", {"clip": opened.released.id})
    assert (status, json.loads(body)["revoked"]) == (201, [opened.outside(opened.released).stem])
    assert not opened.outside(opened.released).exists()
    looked = opened.get(f"api/clip/{opened.released.id}")
    assert looked["state"] == "withheld"
    assert opened.ask("DELETE", f"api/withheld/{looked['withheld'][0]['id']}")[0] == 200
    assert opened.get(f"api/clip/{opened.released.id}")["state"] == "ready"


def test_a_dataset_with_the_clip_in_it_is_taken_back_too(opened: Open) -> None:
    inside = opened.project.dataset_dir / "train" / "clips" / opened.outside(opened.released).name
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"")
    (opened.project.dataset_dir / "deemo.json").write_text("{}")
    opened.outside(opened.released).unlink()
    said = {"clip": opened.released.id, "start_frame": 0, "end_frame": 1, "box": [0, 0, 1, 1]}
    assert json.loads(opened.ask("POST", "api/boxes", said)[2])["revoked"] == [inside.stem]
    assert not inside.exists()


def test_a_project_without_clips(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "new")
    (project.root / "deemo.toml").write_text("")
    page_actions = actions.ReviewActions(project.root, actions.BackgroundRun(project.root))
    assert page_actions.list_clips()["clips"] == []
    assert page_actions.find_clip("x") is None


def test_a_run_that_cannot_begin_says_why(opened: Open) -> None:
    (opened.project.root / "deemo.toml").write_text("[no_such_stage]\n")
    opened.ask("POST", "api/run", {})
    until = time.monotonic() + 20
    while (said := opened.get("api/run"))["running"] and time.monotonic() < until:
        time.sleep(0.05)
    assert "no_such_stage" in said["error"]
    assert said["finished"] == 1


# ── in a browser ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="no browser driver: pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is not there (Debian: apt-get install chromium)")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, opened: Open) -> Iterator[Any]:
    """The page, loaded. It may not say a word on the console, nor ask for anything of anybody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    loaded = context.new_page()
    said: list[str] = []
    loaded.on("console", lambda m: said.append(f"{m.type}: {m.text}"))
    loaded.on("pageerror", lambda e: said.append(str(e)))
    loaded.on("request", lambda r: said.append(f"asked for {r.url}") if not r.url.startswith(opened.door.address) else None)
    loaded.set_default_timeout(15_000)
    loaded.goto(opened.door.address)
    yield loaded
    context.close()
    assert [text for text in said if "net::ERR_FAILED" not in text] == []  # that is how a test cuts the line


def show(page: Any, clip: Clip) -> None:
    page.get_by_label("All").check(force=True)
    page.locator(f"#clips button[data-clip='{clip.id}']").click()
    page.wait_for_selector(f"#clips button[data-clip='{clip.id}'][aria-current=true]")
    until(page, "document.querySelector('#video').readyState >= 2")


def until(page: Any, condition: str) -> None:
    """Wait for a condition in JavaScript. Not by the driver's own wait, which wants eval, and the page forbids that."""
    end = time.monotonic() + 15
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def at(page: Any, frame: int) -> None:
    """Wait until the page says that it shows this frame, and has been painted since."""
    until(page, f"document.querySelector('#frame').dataset.frame === '{frame}' && !document.querySelector('#video').seeking")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def go(page: Any, frame: int) -> None:
    page.locator("#scrub").evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", frame)
    at(page, frame)


def on_screen(page: Any) -> int:
    return number_in(page.locator("#picture").screenshot())


@pytest.mark.parametrize("clips", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001)], ids=str, indirect=True)
def test_the_number_beside_the_picture_is_the_frame_in_the_picture(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    at(page, 0)
    assert on_screen(page) == 30
    for key, frame in (("ArrowRight", 1), (".", 2), (".", 3), (",", 2), ("Shift+ArrowRight", 12), ("ArrowLeft", 11), ("End", 79),
                       ("ArrowRight", 79), ("Home", 0), ("n", 20), ("n", 50), ("p", 20)):  # fmt: skip
        page.keyboard.press(key)
        at(page, frame)
        assert on_screen(page) == 30 + frame, key
    for frame in (1, 7, 24, 25, 26, 33, 49, 50, 61, 78, 79, 0):
        go(page, frame)
        assert on_screen(page) == 30 + frame
    show(page, opened.last)
    at(page, 0)
    assert on_screen(page) == 100


def test_stopped_while_playing(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    page.keyboard.press("Space")
    until(page, "+document.querySelector('#frame').dataset.frame > 10")
    page.keyboard.press("Space")
    until(page, "document.querySelector('#video').paused && !document.querySelector('#video').seeking")
    page.wait_for_timeout(200)
    assert on_screen(page) == 30 + int(page.locator("#frame").get_attribute("data-frame"))
    page.keyboard.press("Space")
    until(page, "document.querySelector('#video').paused && +document.querySelector('#frame').dataset.frame === 79")
    assert on_screen(page) == 109


def test_many_steps_at_once_end_where_they_should(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    for _ in range(23):
        page.keyboard.press(".")
    at(page, 23)
    assert on_screen(page) == 53


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the picture to another, in shares of it."""
    area = page.locator("#picture").bounding_box()
    page.mouse.move(area["x"] + start[0] * area["width"], area["y"] + start[1] * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + end[0] * area["width"] / 2, area["y"] + end[1] * area["height"] / 2, steps=3)
    page.mouse.move(area["x"] + end[0] * area["width"], area["y"] + end[1] * area["height"], steps=3)
    page.mouse.up()


def said(page: Any, text: str) -> None:
    until(page, f"document.querySelector('#message').textContent.includes({json.dumps(text)})")


def within_a_pixel(box: list[float], meant: tuple[float, float, float, float]) -> bool:
    return all(abs(a - b) * size <= 1 for a, b, size in zip(box, meant, (WIDTH, HEIGHT, WIDTH, HEIGHT), strict=True))


def test_a_box_is_drawn_saved_seen_again_and_deleted(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    go(page, 40)
    drag(page, (0.25, 0.3), (0.6, 0.7))
    assert page.locator("#from").input_value() == "27", "half a second before: 12.5 frames, rounded up"
    assert page.locator("#to").input_value() == "53"
    go(page, 35)
    page.get_by_role("button", name="From here").click()
    go(page, 44)
    page.keyboard.press("]")
    page.get_by_role("button", name="Save box").click()
    said(page, "Saved. It holds in frames 35–44.")
    (line,) = opened.lines()
    assert set(line) == {"id", "source", "start_ms", "end_ms", "box", "at"}
    assert (line["source"], line["start_ms"], line["end_ms"]) == ("0123456789ab", (30 + 35) * 40, (30 + 45) * 40)
    assert within_a_pixel(line["box"], (0.25, 0.3, 0.6, 0.7)), line["box"]
    page.reload()
    page.wait_for_selector("#saved li")
    assert page.locator("#name").inner_text() == "interview.mp4"
    assert "Box 1: frames 35–44" in page.locator("#saved").inner_text()
    page.get_by_role("button", name="Box 1: frames 35–44").click()
    at(page, 35)
    area, box = page.locator("#picture").bounding_box(), page.locator("#marks .box").bounding_box()
    assert abs(box["x"] - area["x"] - 0.25 * area["width"]) <= 2
    assert abs(box["height"] - 0.4 * area["height"]) <= 2
    go(page, 45)
    assert page.locator("#marks .box").count() == 0, "it ends with frame 44"
    page.get_by_role("button", name="Delete box 1").click()
    said(page, "deleted")
    assert page.locator("#saved li").count() == 0
    assert corrections.boxes_by_source(opened.project.root) == {}
    assert opened.lines()[1]["removes"] == line["id"]


def test_a_box_by_keyboard_alone(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    for key in (
        "n",
        "b",
        "ArrowLeft",
        "ArrowLeft",
        "ArrowUp",
        "Shift+ArrowRight",
        "Shift+ArrowDown",
        ".",
        "[",
        ".",
        ".",
        "]",
        "Enter",
    ):
        page.keyboard.press(key)
        page.wait_for_timeout(80)
    said(page, "Saved. It holds in frames 21–23.")
    (line,) = opened.lines()
    assert within_a_pixel(line["box"], (0.33, 0.29, 0.64, 0.70))
    page.keyboard.press("b")
    page.keyboard.press("Escape")
    assert not page.locator("#draft").is_visible()
    assert len(opened.lines()) == 1


def test_a_hit_becomes_a_box_and_a_box_is_changed(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    page.get_by_role("button", name="20–24").click()
    at(page, 20)
    assert page.locator("#marks .leak").count() == 1
    page.keyboard.press("h")
    page.get_by_role("button", name="Save box").click()
    said(page, "Saved")
    assert within_a_pixel(opened.lines()[0]["box"], (0.2, 0.175, 0.55, 0.7))
    page.get_by_role("button", name="Change").click()
    area = page.locator("#picture").bounding_box()
    corner = page.locator("#draft [data-corner=se]").bounding_box()
    page.mouse.move(corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.8 * area["width"], area["y"] + 0.9 * area["height"], steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Save box").click()
    said(page, "Saved")
    page.wait_for_selector("#span", state="hidden")
    (box,) = corrections.read_boxes(opened.project.root)
    assert within_a_pixel(list(box.box), (0.2, 0.175, 0.8, 0.9))


def test_a_box_on_a_released_clip_takes_it_back_and_the_page_says_so(page: Any, opened: Open) -> None:
    show(page, opened.released)
    assert page.locator("#badge").inner_text() == "released"
    assert opened.outside(opened.released).exists()
    at(page, 0)
    drag(page, (0.5, 0.5), (0.9, 0.9))
    page.keyboard.press("Enter")
    said(page, "1 released clip was taken back")
    assert not opened.outside(opened.released).exists()
    assert page.locator("#badge").inner_text() == "run again"
    assert "1 clip is released" in page.locator("#summary").inner_text()


def test_a_clip_is_withheld_after_a_question(page: Any, opened: Open) -> None:
    show(page, opened.released)
    page.get_by_role("button", name="Withhold this clip").click()
    page.get_by_role("button", name="Cancel").click()
    assert opened.outside(opened.released).exists()
    page.get_by_role("button", name="Withhold this clip").click()
    page.get_by_role("button", name="Withhold", exact=True).click()
    said(page, "Withheld. 1 released clip was taken back")
    assert not opened.outside(opened.released).exists()
    assert page.locator("#badge").inner_text() == "withheld"
    page.get_by_role("button", name="Let the leak check decide again").click()
    said(page, "No longer withheld")
    assert corrections.read_withheld_spans(opened.project.root) == []


def test_the_original_is_shown_only_when_asked_for(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "/original/" in r.url else None)
    go(page, 12)
    assert asked == []
    assert not page.locator("#original").is_visible()
    page.get_by_label("Show the original").check()
    page.wait_for_selector("#original", state="visible")
    assert page.locator("#raw").is_visible()
    assert number_in(page.locator("#original").screenshot()) == 42
    page.keyboard.press(".")
    at(page, 13)
    until(page, "document.querySelector('#original').src.endsWith('/13') && !document.querySelector('#original').hidden")
    assert number_in(page.locator("#original").screenshot()) == 43
    page.keyboard.press("o")
    page.wait_for_selector("#original", state="hidden")
    assert all(url.startswith(opened.door.address) for url in asked)


def test_when_nothing_was_refused(browser: Any, opened: Open) -> None:
    clips = [c for c in read_project_clips(opened.project) if c.id != opened.refused.id]
    write_clips(clips, opened.project.root / "clips.jsonl")
    page = browser.new_page()
    page.goto(opened.door.address)
    page.wait_for_selector("#nothing", state="visible")
    assert page.locator("#nothing h2").inner_text() == "No clip was refused"
    assert "2 clips are released." in page.locator("#nothing p").inner_text()
    assert page.locator("#clips button").count() == 2
    write_clips([], opened.project.root / "clips.jsonl")
    page.reload()
    page.wait_for_selector("#nothing", state="visible")
    assert page.locator("#nothing h2").inner_text() == "There are no clips yet"
    page.close()


def test_what_is_wrong_with_the_project_is_said_at_once(browser: Any, opened: Open) -> None:
    (opened.project.root / "corrections" / "boxes.jsonl").write_text("oops\n")
    page = browser.new_page()
    page.goto(opened.door.address)
    until(page, "document.querySelector('#summary').textContent.includes('corrections/boxes.jsonl, line 1 cannot be read')")
    page.close()


def test_a_clip_that_was_clicked_stays_though_another_is_still_on_its_way(page: Any, opened: Open) -> None:
    show(page, opened.released)
    waiting: list[Any] = []
    page.route(f"**/api/clip/{opened.refused.id}", lambda route: waiting.append(route))
    page.locator(f"#clips button[data-clip='{opened.refused.id}']").click()
    show(page, opened.last)
    waiting[0].continue_()
    page.wait_for_timeout(300)
    assert page.locator("#clips [aria-current=true]").get_attribute("data-clip") == opened.last.id


def test_a_clip_is_found_by_what_annotators_call_it(page: Any, opened: Open) -> None:
    from playwright.sync_api import expect

    page.get_by_label("Find a clip").fill(opened.outside(opened.last).stem[3:])
    expect(page.locator("#clips button")).to_have_count(1)
    page.get_by_label("Find a clip").fill("nowhere")
    expect(page.locator("#clips button")).to_have_count(0)
    assert page.locator("#none").inner_text() == "No clip is called so."


def test_when_the_server_is_gone_the_page_says_so(page: Any, opened: Open) -> None:
    show(page, opened.refused)
    page.route("**/api/boxes", lambda route: route.abort())
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    said(page, "The server does not answer")
    assert page.locator("#draft").is_visible(), "what was drawn is still there"


# ── the whole line ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_box_on_real_footage_is_in_the_next_video(browser: Any, media: Path, weights: Path, tmp_path: Path) -> None:
    """Made, released, corrected in the browser, made again by its button: only from the mask onwards, and just there."""
    import numpy as np

    from deemo_data.media import frames, probe

    project = Project.make(tmp_path / "study")
    csv = tmp_path / "sources.csv"
    csv.write_text(f"uri,start_ms,end_ms,consent\n{media / 'video' / 'asl_eat.mkv'},100,900,yes\n")
    ingest.ingest_sources(project, str(csv), None)
    segment.segment_sources(project)
    _, missing = run.run_project(project, workers=1)
    assert missing == []
    release.release_clips(read_current_clips(project), project)
    (clip,) = read_project_clips(project)
    before = {p.name: {e.name for e in p.glob("[!.]*")} for p in project.store_dir.iterdir()}

    def shown(of: Clip) -> list[Any]:
        """The lower left of each frame of the video, where no face is."""
        safe = of.files["safe"]
        grid = probe.probe_video(Path(safe.path))["grid"]
        whole = Clip("x", "x", 0, of.end_ms - of.start_ms, {"source": safe}, {"grid": grid})
        return [f.bgr()[350:450, 20:180].astype(np.int16) for f in frames.read_frames(whole)]

    was = shown(clip)
    with serving(project) as door:
        page = browser.new_page()
        page.goto(door.address)
        show(page, clip)
        assert page.locator("#badge").inner_text() == "released"
        go(page, 10)
        drag(page, (0.0, 0.7), (0.3, 0.97))
        page.keyboard.press("[")
        go(page, 15)
        page.keyboard.press("]")
        page.get_by_role("button", name="Save box").click()
        said(page, "Saved. It holds in frames 10–15. 1 released clip was taken back.")
        assert list(project.released_dir.iterdir()) == []
        assert page.locator("#badge").inner_text() == "run again"
        page.get_by_role("button", name="Run again", exact=True).click()
        end = time.monotonic() + 600
        while door.actions.rerun.status["running"] or not door.actions.rerun.status["finished"]:
            assert time.monotonic() < end
            page.wait_for_timeout(300)
        until(page, "document.querySelector('#badge').textContent === 'ready'")
        assert page.locator("#progress-text").inner_text() == "1 clip came out, 0 did not"
        page.close()
    (clip,) = read_project_clips(project)
    now = shown(clip)
    assert len(now) == len(was) == clip.num_frames
    changed = [k for k, (a, b) in enumerate(zip(was, now, strict=True)) if np.abs(a - b).mean() > 10]
    assert changed == [10, 11, 12, 13, 14, 15]
    assert all(now[k].std(axis=(0, 1)).max() < 2 for k in changed), "one colour"
    after = {p.name: {e.name for e in p.glob("[!.]*")} for p in project.store_dir.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"MaskVideo", "Assemble", "CheckLeaks"}
    safe, kept = release.release_clips(read_current_clips(project), project)
    assert (len(safe), kept) == (1, [])
