"""The push to a hub: what goes, that it goes on after a failure, and that what is there afterwards is what was sent.

The hub is a stand-in on loopback that speaks as much of the protocol as huggingface_hub uses for files over LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deemo_data.clip import SafeClip
from deemo_data.dataset.export import hub
from deemo_data.errors import DatasetError, NotReleasable
from tests.makers.datasets import export_clips, make_clip, make_event_label
from tests.makers.labels import said

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own way to send a file

TOKEN = "hf_" + "SECRETtoken"
REPO = "owner/interviews"


class Hub(ThreadingHTTPServer):
    """What a hub remembers. `fail_at`: refuse the so-many-th large file; `lose`: say a file was taken in, and do not."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.repos: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.files: dict[str, dict[str, Any]] = {".gitattributes": entry(b"*.mp4 filter=lfs\n")}
        self.commits: list[list[str]] = []
        self.put: list[str] = []
        self.deleted: list[str] = []
        self.calls: list[str] = []
        self.fail_at = -1
        self.status = 403
        self.lose = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def entry(data: bytes, sha256: str = "") -> dict[str, Any]:
    """A file of the tree; with `sha256` one that is stored as a large file."""
    row: dict[str, Any] = {"type": "file", "size": len(data), "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
    return row | ({"lfs": {"oid": sha256, "size": len(data), "pointerSize": 130}} if sha256 else {})


class Door(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        path = self.path.split("?")[0]
        self.server.calls.append(f"{self.command} {path}")
        if not path.startswith("/object/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid credentials"}, 401)
            return
        for pattern, serve in DOORS.items():
            if re.fullmatch(pattern, f"{self.command} {path}"):
                serve(self, body)
                return
        self.answer({"error": f"no such door: {path}"}, 404)

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'owner'}/{asked['name']}"
        url = f"{self.server.address}/datasets/{name}"
        known = name in self.server.repos
        self.server.repos.setdefault(name, asked)
        self.answer({"url": url, "name": name, "error": "You already created this repo"}, 409 if known else 200)

    def settings(self, body: bytes) -> None:
        self.server.repos[REPO] |= json.loads(body)
        self.answer({})

    def yaml(self, body: bytes) -> None:
        assert json.loads(body)["content"].startswith("---\n")
        self.answer({"errors": [], "warnings": []})

    def tree(self, body: bytes) -> None:
        self.answer([{"path": p} | f for p, f in self.server.files.items()])

    def preupload(self, body: bytes) -> None:
        files = json.loads(body)["files"]
        modes = {f["path"]: "lfs" if f["path"].endswith((".mp4", ".parquet")) else "regular" for f in files}
        self.answer({"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes.items()]})

    def batch(self, body: bytes) -> None:
        told = []
        for o in json.loads(body)["objects"]:
            action = {"upload": {"href": f"{self.server.address}/object/{o['oid']}"}}
            told.append(o if o["oid"] in self.server.objects else o | {"actions": action})
        self.answer({"transfer": "basic", "objects": told})

    def object(self, body: bytes) -> None:
        oid = self.path.rsplit("/", 1)[1]
        assert hashlib.sha256(body).hexdigest() == oid
        if len(self.server.put) == self.server.fail_at:
            self.answer({"error": "no more room"}, self.server.status)
            return
        self.server.put.append(oid)
        self.server.objects[oid] = body
        self.answer({})

    def commit(self, body: bytes) -> None:
        touched = []
        for line in body.decode().splitlines():
            step = json.loads(line)
            value = step["value"]
            match step["key"]:
                case "file":
                    self.server.files[value["path"]] = entry(base64.b64decode(value["content"]))
                case "lfsFile":
                    self.server.files[value["path"]] = entry(self.server.objects[value["oid"]], value["oid"])
                case "deletedFile":
                    self.server.files.pop(value["path"])
            touched += [value["path"]] if "path" in value else []
        self.server.files.pop(self.server.lose, None)
        self.server.commits.append(touched)
        self.answer({"commitUrl": f"{self.server.address}/datasets/{REPO}/commit/0", "commitOid": "0" * 40})

    def squash(self, body: bytes) -> None:
        self.server.commits = [sorted(self.server.files)]
        self.answer({})

    def lfs_files(self, body: bytes) -> None:
        when = "2026-11-24T10:00:00.000Z"
        self.answer([
            {"fileOid": oid, "filename": oid, "oid": oid, "pushedAt": when, "ref": None, "size": len(data)}
            for oid, data in self.server.objects.items()
        ])  # fmt: skip

    def drop(self, body: bytes) -> None:
        for oid in json.loads(body)["deletions"]["sha"]:
            self.server.deleted.append(oid)
            self.server.objects.pop(oid)
        self.answer({})


DOORS = {
    "POST /api/repos/create": Door.create,
    f"PUT /api/datasets/{REPO}/settings": Door.settings,
    "POST /api/validate-yaml": Door.yaml,
    f"GET /api/datasets/{REPO}/tree/main": Door.tree,
    f"POST /api/datasets/{REPO}/preupload/main": Door.preupload,
    rf"POST /datasets/{REPO}\.git/info/lfs/objects/batch": Door.batch,
    "PUT /object/.*": Door.object,
    f"POST /api/datasets/{REPO}/commit/main": Door.commit,
    f"POST /api/datasets/{REPO}/super-squash/main": Door.squash,
    f"GET /api/datasets/{REPO}/lfs-files": Door.lfs_files,
    f"POST /api/datasets/{REPO}/lfs-files/batch": Door.drop,
}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running stand-in. Large files go over LFS: the other way, Xet, wants a storage server of its own."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    close_session()
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    close_session()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[SafeClip]:
    """Made once: an export is hard links to these files, so that making one anew would write into every dataset."""
    folder = tmp_path_factory.mktemp("released")
    return [make_clip(folder, n) for n in range(4)]


@pytest.fixture(scope="module")
def made(clips: list[SafeClip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "dataset"
    export_clips(clips, [make_event_label(clips[0], 2, 8), *(said("emotion", "happy", c) for c in clips)], folder)
    return folder


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "d")
    return tmp_path / "d"


def send(folder: Path, there: Hub, **more: Any) -> hub.UploadResult:
    return hub.push_dataset(folder, REPO, endpoint=there.address, token=TOKEN, **more)


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_the_whole_folder_goes_and_nothing_else(dataset: Path, there: Hub) -> None:
    all_ = names(dataset)
    (dataset.parent / "beside.txt").write_text("not of the dataset")
    (dataset / "notes.txt").write_text("the owner's own")
    watched: list[tuple[int, int]] = []
    done = send(dataset, there, on_progress=lambda n, of: watched.append((n, of)))
    assert set(there.files) == all_ | {".gitattributes"}
    assert (done.files_sent, done.files_unchanged, done.files_removed, done.version) == (len(all_), 0, 0, "1.0.0")
    assert done.address == f"{there.address}/datasets/{REPO}"
    assert there.repos[REPO]["visibility"] == "private"
    assert there.repos[REPO]["gated"] == "manual"
    assert watched == [(0, len(all_)), (len(all_), len(all_))]
    for name in all_:
        data = (dataset / name).read_bytes()
        kept = there.files[name].get("lfs")
        assert there.objects[kept["oid"]] == data if kept else there.files[name]["oid"] == entry(data)["oid"]


def test_a_second_push_sends_nothing(dataset: Path, there: Hub) -> None:
    send(dataset, there)
    commits, put = list(there.commits), list(there.put)
    again = send(dataset, there)
    assert (again.files_sent, again.files_removed) == (0, 0)
    assert (there.commits, there.put) == (commits, put)


def test_it_goes_on_after_a_failure(dataset: Path, there: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "FILES_PER_COMMIT", 3)
    there.fail_at = 4
    with pytest.raises(DatasetError, match=r"the hub refused \(403\)") as e:
        send(dataset, there)
    assert TOKEN not in str(e.value)
    assert "object/" not in str(e.value), "no address that was signed"
    assert "README.md" not in there.files, "what is half there cannot be loaded"
    first = list(there.put)
    there.fail_at = -1
    done = send(dataset, there)
    assert done.files_unchanged > 0
    assert set(there.files) == names(dataset) | {".gitattributes"}
    assert sorted(there.put) == sorted(set(there.put)), "nothing was sent twice"
    assert there.put[: len(first)] == first


def test_what_was_removed_is_not_to_be_had_from_history(clips: list[SafeClip], dataset: Path, there: Hub) -> None:
    send(dataset, there)
    gone = sorted(p.name for p in dataset.rglob("*.mp4"))[0]
    digest = hashlib.sha256(next(dataset.rglob(gone)).read_bytes()).hexdigest()
    export_clips(clips[1:], [said("emotion", "happy", c) for c in clips[1:]], dataset)
    done = send(dataset, there)
    assert done.files_removed >= 1
    assert done.version == "2.0.0"
    assert not [n for n in there.files if n.endswith(gone)]
    assert len(there.commits) == 1
    assert digest in there.deleted
    assert digest not in there.objects
    assert set(there.files) == names(dataset) | {".gitattributes"}


def test_a_dataset_with_faults_does_not_go(dataset: Path, there: Hub) -> None:
    next(dataset.rglob("*.mp4")).write_bytes(b"another")
    with pytest.raises(NotReleasable, match=r"has faults: .*\.mp4: is not the file that was exported"):
        send(dataset, there)
    assert there.calls == []


def test_what_is_not_there_as_it_was_sent_is_found(dataset: Path, there: Hub) -> None:
    there.lose = sorted(n for n in names(dataset) if n.endswith(".mp4"))[0]
    with pytest.raises(DatasetError, match="is not there as it was sent"):
        send(dataset, there)


@pytest.mark.parametrize("token", ["hf_wrong", TOKEN])
def test_errors_are_one_line(dataset: Path, there: Hub, token: str) -> None:
    endpoint = there.address if token != TOKEN else "http://127.0.0.1:9"
    with pytest.raises(DatasetError) as e:
        hub.push_dataset(dataset, REPO, endpoint=endpoint, token=token)
    assert e.value.what.startswith(f"{REPO}: the hub refused (401)" if token != TOKEN else f"{REPO}: the upload broke off")
    assert token not in str(e.value)
    with pytest.raises(DatasetError, match="is no name of a repository"):
        hub.push_dataset(dataset, "a/b/c d", endpoint=there.address, token=TOKEN)


def test_an_open_dataset_asks_nobody(clips: list[SafeClip], tmp_path: Path, there: Hub) -> None:
    export_clips(clips[:2], [], tmp_path / "open", gated=False)
    send(tmp_path / "open", there, private=False)
    assert "gated" not in there.repos[REPO]
    assert there.repos[REPO]["visibility"] == "public"
