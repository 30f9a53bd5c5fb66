"""Footage that is damaged or lies: thousands of harmed files, each taken in, cut, read and written as deemo does.

Whatever comes in, the file is refused in one line, or read and let out with as many frames as its grid has. No hang, no
crash, no unbounded memory. By hand, with a table of what happened: DEEMO_FILES=2400 python tests/test_bad_media.py
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mutate import bases, mutants

from deemo_data import ingest, media, segment
from deemo_data.clip import Clip
from deemo_data.errors import DeemoError, StageError
from deemo_data.pipeline import Failure, attempt
from deemo_data.stages.assemble import Assemble

TALKER = "talker_hands_speech_wim.mp4"
SECONDS = 90  # for one file; the slowest takes some three on a machine that does nothing else
MEGABYTES = 1500  # of one process, with Silero and the shot detector in it
SECRET = bytes(32)


# ── the process that reads ───────────────────────────────────────────────────────────────────────────────────


def through(path: Path, work: Path) -> dict[str, Any]:
    """What becomes of one file: {"outcome", "said", "frames"}. Anything but a DeemoError or OSError is a "bug"."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    rows = ingest.read_sources(str(path))
    taken, refused = ingest.ingest(rows, secret=SECRET, downloads=work, consent="test media")
    if refused:
        return {"outcome": "refused", "said": f"{refused[0].reason}. {refused[0].advice}", "frames": 0}
    [source] = taken
    frames = source.grid.frames
    how = segment.Segment(min_ms=400, max_ms=1000)
    clips = attempt("Segment", source, lambda s: segment.segment(s, how, work / "store", SECRET))
    if isinstance(clips, Failure):
        return {"outcome": "bug" if clips.bug else "not cut", "said": clips.bug or clips.reason, "frames": frames}
    results = [attempt("all", clip, lambda c: written(c, work)) for clip in clips]
    failures = [r for r in results if isinstance(r, Failure)]
    if failures:
        bug = next((f.bug for f in failures if f.bug), "")
        outcome = "bug" if bug else "not read" if len(failures) == len(clips) else "read in part"
        return {"outcome": outcome, "said": bug or failures[0].reason, "frames": frames}
    return {"outcome": "read", "said": "", "frames": frames}


def written(clip: Clip, work: Path) -> None:
    """Every frame and sample of a clip read, shown both ways, written and counted again, as the stages do it."""
    import numpy as np

    out = work / clip.id
    out.mkdir()
    grid, seen = clip.grid, []

    def pictures() -> Iterator[Any]:
        for frame in media.frames(clip):
            if frame.bgr().shape != (grid.height, grid.width, 3):
                raise ValueError(f"frame {frame.index} is {frame.bgr().shape}")
            seen.append(frame.index)
            yield frame.yuv()

    count = media.write_video(out / "masked.mp4", pictures(), grid, 30, "ultrafast")
    if seen != list(range(clip.num_frames)) or count != clip.num_frames:
        raise ValueError(f"{clip.num_frames} frames promised, {count} written, seen: {seen[:3]}…{seen[-3:]}")
    heard = media.sound(clip)
    if heard.shape != (media.sound_length(clip.num_frames, grid.fps),) or not np.isfinite(heard).all() or abs(heard).max() > 1:
        raise ValueError(f"sound of {heard.shape}, from {heard.min()} to {heard.max()}")
    media.write_wav(out / "voice.wav", heard)
    made = {"masked": out / "masked.mp4", "voice": out / "voice.wav"}
    from deemo_data.clip import File

    Assemble()(clip.knowing({n: File.of(p) for n, p in made.items()}, {}), out)


def serve() -> None:
    """Reads paths from stdin, says what became of each: a line of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    with tempfile.TemporaryDirectory() as work:
        for line in sys.stdin:
            Path("/proc/self/clear_refs").write_text("5")  # so that VmHWM is the most of this file
            began = time.monotonic()
            told = through(Path(line.rstrip("\n")), Path(work) / "w")
            most = next(n for n in Path("/proc/self/status").read_text().splitlines() if n.startswith("VmHWM"))
            told |= {"seconds": time.monotonic() - began, "megabytes": int(most.split()[1]) // 1024}
            print(json.dumps(told), flush=True)


# ── the process that watches it ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Reader:
    """A process of its own that reads, and is replaced when it dies or says nothing for too long."""

    process: subprocess.Popen[str] | None = None

    def read(self, path: Path, seconds: float = SECONDS) -> dict[str, Any]:
        process = self.process = self.process or subprocess.Popen(
            [sys.executable, "-c", "import test_bad_media; test_bad_media.serve()"],
            cwd=Path(__file__).parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.process = None
        process.kill()
        said = process.communicate()[1][-2000:]
        outcome = "crashed" if ready else "timed out"
        return {"outcome": outcome, "said": f"{process.returncode} {said}", "frames": 0, "seconds": seconds, "megabytes": 0}

    def close(self) -> None:
        if self.process:
            self.process.communicate("")


def faults(name: str, told: dict[str, Any]) -> list[str]:
    """What may never become of a file."""
    found = []
    if told["outcome"] in ("bug", "crashed", "timed out"):
        found.append(f"{name} {told['outcome']}: {told['said']}")
    elif len(told["said"].splitlines()) > 1 or (told["outcome"] != "read" and not told["said"]):
        found.append(f"{name}: not one line: {told['said']!r}")
    if told["megabytes"] > MEGABYTES:
        found.append(f"{name} took {told['megabytes']} MB")
    return found


def read_all(files: Iterable[tuple[str, bytes]], folder: Path, reader: Reader) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, data in files:
        path = folder / name
        path.write_bytes(data)
        yield name, reader.read(path)
        path.unlink()


@pytest.fixture(scope="module")
def sound(media: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    from deemo_data.media import ffmpeg_binary

    return bases(tmp_path_factory.mktemp("bases"), media / "video" / TALKER, ffmpeg_binary())


def by_hand() -> None:
    """A table of what became of DEEMO_FILES harmed files."""
    count, where = int(os.environ.get("DEEMO_FILES", "2400")), os.environ.get("DEEMO_KEEP")
    kinds = ("refused", "not cut", "not read", "read in part", "read: other length", "read", "timed out", "crashed", "bug")
    became: dict[str, Counter[str]] = {}
    worst: list[tuple[float, int, str]] = []
    reader, bad = Reader(), []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(__file__).resolve().parents[2] / "shared" / "media" / "video" / TALKER
        whole = bases(Path(folder), video, media.ffmpeg_binary())
        lengths = {ending: reader.read(Path(folder) / f"base.{ending}")["frames"] for ending in whole}
        files = dict(mutants(whole, count))
        for name, told in read_all(files.items(), Path(folder), reader):
            ending, outcome = name.rsplit(".")[-1], told["outcome"]
            if outcome == "read" and told["frames"] != lengths[ending]:
                outcome = "read: other length"
            became.setdefault(ending, Counter())[outcome] += 1
            worst.append((told["seconds"], told["megabytes"], name))
            if wrong := faults(name, told):
                bad += wrong
                print("FAULT", *wrong, flush=True)
                if where:
                    (Path(where) / name).write_bytes(files[name])
            print(name, outcome, told["frames"], f"{told['seconds']:.1f} s", told["megabytes"], "MB", told["said"][:150], flush=True)
    reader.close()
    print("| container | files | " + " | ".join(kinds) + " |")
    for ending, counts in [*became.items(), ("all", sum(became.values(), Counter()))]:
        print(f"| {ending} | {counts.total()} | " + " | ".join(str(counts[k]) for k in kinds) + " |")
    print("slowest:", sorted(worst)[-5:])
    print("largest:", sorted((m, n) for _, m, n in worst)[-5:])
    print(f"{len(bad)} faults")


if __name__ == "__main__":
    by_hand()
