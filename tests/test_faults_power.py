"""After a power cut there is what a name promises: bytes are synced before they get their name, and folders after.

Proven by the system calls that were really made (strace; else a Python that writes down its own), not by reading code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from deemo_data.project.project import Project
from tests.makers.quiet_runs import DAY, calm  # noqa: F401
from tests.makers.quiet_runs import Calm as _Calm

REPO = Path(__file__).resolve().parents[1]

# (what, path, other path): "opened" to be written, "synced", "renamed", "linked", "made" (a folder), "gone"
Event = tuple[str, str, str]

NOTES = """
import os, sys
log = os.open(os.environ["POWER_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
here = os.path.abspath
def note(*said):
    os.write(log, ("\\t".join(map(str, said)) + "\\n").encode())
def hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)) and args[2] & 3:
        note("opened", here(os.fsdecode(args[0])), "")
sys.addaudithook(hook)
def after(name, what):
    real = getattr(os, name)
    def call(*args, **more):
        done = real(*args, **more)
        if not more.get("dir_fd") and not more.get("src_dir_fd"):
            paths = [here(os.fspath(a)) for a in args[:1 if what in ("made", "gone") else 2]]
            note(what, *paths, *[""] * (2 - len(paths)))
        return done
    setattr(os, name, call)
for name, what in (("rename", "renamed"), ("replace", "renamed"), ("link", "linked"), ("mkdir", "made"), ("unlink", "gone")):
    after(name, what)
real_sync = os.fsync
def fsync(fd):
    number = fd if isinstance(fd, int) else fd.fileno()
    real_sync(number)
    note("synced", os.readlink(f"/proc/self/fd/{number}"), "")
os.fsync = fsync
"""


def of_notes(path: Path) -> list[Event]:
    return [(a, b, c) for a, b, c in (line.split("\t") for line in path.read_text().splitlines())]


def of_strace(path: Path) -> list[Event]:
    """What `strace -f -y` wrote, calls that failed left out. Half calls, which another thread broke off, are put together."""
    found: list[Event] = []
    half: dict[str, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            half[pid] = call.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            call = half.pop(pid, "") + resumed[1]
        if not re.search(r"\)\s+= \d", call):
            continue
        name, paths = call.split("(", 1)[0], re.findall(r'"((?:[^"\\]|\\.)*)"', call)
        match name:
            case "fsync" | "fdatasync" if at := re.search(r"\(\d+<(.*)>\)", call):
                found.append(("synced", at[1], ""))
            case "openat" | "open" | "creat" if re.search("O_WRONLY|O_RDWR|O_CREAT", call):
                at = re.search(r"= \d+<(.*)>", call)
                found.append(("opened", at[1] if at else paths[0], ""))
            case "rename" | "renameat" | "renameat2":
                found.append(("renamed", paths[0], paths[1]))
            case "link" | "linkat":
                found.append(("linked", paths[0], paths[1]))
            case "mkdir" | "mkdirat":
                found.append(("made", paths[0], ""))
            case "unlink" | "unlinkat" if len(paths) == 1 and os.path.isabs(paths[0]):
                found.append(("gone", paths[0], ""))
    return found


def lost(events: Iterable[Event], root: Path, manifest: Path) -> list[str]:
    """What a power cut could leave wrong: at each rename, when the manifest gets its name, and at the end."""
    dirty: dict[str, str] = {}  # path -> why; a folder is dirty when its listing is
    known: set[str] = set()
    found: list[str] = []
    inside = str(root) + os.sep

    def listing(path: str) -> None:
        if not path.endswith("/lock"):  # that is made again by whoever needs it
            dirty[os.path.dirname(path)] = f"lists {os.path.basename(path)}"

    for what, path, other in events:
        if not (path.startswith(inside) or path in (str(root), str(root.parent))) and not other.startswith(inside):
            continue
        match what:
            case "opened":
                if path not in known:
                    listing(path)
                known.add(path)
                dirty[path] = "written"
            case "synced":
                known.add(path)
                dirty.pop(path, None)
            case "made":
                listing(path)
            case "gone":
                dirty.pop(path, None)
                known.discard(path)
            case "linked":
                known.add(other)
                if path in dirty:
                    dirty[other] = dirty[path]
                listing(other)
            case "renamed":
                found += [f"{p} got its name before it was synced ({why})" for p, why in dirty.items()
                          if (p == path or p.startswith(path + os.sep)) and not is_aside(other)]  # fmt: skip
                if path not in known and not is_aside(other):
                    found.append(f"{other} got its name and was never synced")
                for old in [p for p in known if p == path or p.startswith(path + os.sep)]:
                    known.discard(old)
                    known.add(other + old[len(path) :])
                for old in [p for p in dirty if p == path or p.startswith(path + os.sep)]:
                    dirty[other + old[len(path) :]] = dirty.pop(old)
                listing(other)
                if other == str(manifest):
                    found += [f"{p} was not on the disk when the manifest got its name ({why})" for p, why in dirty.items()
                              if p.startswith(str(manifest.parent) + os.sep)]  # fmt: skip
    found += [f"{p} is not on the disk at the end ({why})" for p, why in dirty.items()
              if os.path.exists(p) and not is_aside(p) and not why.startswith("lists .")]  # fmt: skip
    return sorted(set(found))


def is_aside(path: str) -> bool:
    """Locks, logs, and what is not yet or no more under a name."""
    return any(part.startswith(".") and part != ".gitignore" for part in path.split(os.sep)) or path.endswith(("/lock", ".new"))


SEEN: list[tuple[list[Event], str]] = [
    ([("opened", "/p/.a.1", ""), ("renamed", "/p/.a.1", "/p/a"), ("synced", "/p", "")], "/p/.a.1 got its name before"),
    ([("renamed", "/p/.a.1", "/p/a"), ("synced", "/p", "")], "/p/a got its name and was never synced"),
    ([("opened", "/p/s/.k/f", ""), ("synced", "/p/s/.k", ""), ("renamed", "/p/s/.k", "/p/s/k")], "/p/s/.k/f got its name before"),
    ([("opened", "/p/d/v", ""), ("opened", "/p/d/m.json", ""), ("synced", "/p/d/m.json", ""),
      ("renamed", "/p/d/m.json", "/p/d/deemo.json")], "/p/d/v was not on the disk when the manifest"),
]  # fmt: skip


@pytest.mark.parametrize(("events", "says"), SEEN)
def test_what_is_lost_is_seen(events: list[Event], says: str) -> None:
    assert any(line.startswith(says) for line in lost(events, Path("/p"), Path("/p/d/deemo.json")))


def test_what_is_not_synced_at_the_end_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    at = str(tmp_path / "a")
    events: list[Event] = [("opened", at + "1", ""), ("synced", at + "1", ""), ("renamed", at + "1", at)]
    assert lost(events, tmp_path, tmp_path / "m") == [f"{tmp_path} is not on the disk at the end (lists a)"]
    assert lost([*events, ("synced", str(tmp_path), "")], tmp_path, tmp_path / "m") == []
    assert lost([*events, ("opened", at, ""), ("synced", str(tmp_path), "")], tmp_path, tmp_path / "m") == [
        f"{at} is not on the disk at the end (written)"
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["strace", "notes"])
def test_a_power_cut_loses_nothing_that_has_a_name(calm: _Calm, tmp_path: Path, how: str) -> None:
    """A build from nothing, a push, a pull of labels, a correction, a withdrawal."""
    if how == "strace" and not shutil.which("strace"):
        pytest.skip("no strace here")
    root, log = tmp_path / "project", tmp_path / "log"
    env, tracer = os.environ | DAY, []
    if how == "strace":
        calls = "fsync,fdatasync,openat,open,creat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,unlink,unlinkat"
        tracer = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "4096", "-e", f"trace={calls}", "-o", str(log)]
    else:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(NOTES)
        env |= {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(REPO)]), "POWER_LOG": str(log)}
    wrong: list[str] = []
    seen = 0
    for arguments, status in (
        (("build", root, calm.csv), 1),
        (("push", root, "--to-file", tmp_path / "tasks.json"), 1),
        (("forget", root, "two", "--yes"), 0),
    ):
        log.unlink(missing_ok=True)
        command = [*tracer, sys.executable, "-m", "deemo_data.cli", *map(str, arguments)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        events = of_strace(log) if how == "strace" else of_notes(log)
        seen += sum(what == "synced" and path.startswith(str(root)) for what, path, _ in events)
        wrong += [f"{arguments[0]}: {line}" for line in lost(events, root, root / "out" / "dataset" / "deemo.json")]
    assert not wrong, "\n".join(wrong)
    assert seen > 100
    assert len(Project.open(root).read_sources()) == 2
