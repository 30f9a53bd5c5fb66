"""An hour of short clips through every stage in one process: neither memory nor open files grow with the clips.

A few minutes of it in `make slow`; the whole one with DEEMO_SOAK=3600 (seconds of material).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deemo_data.media.ffmpeg import find_ffmpeg

REPO = Path(__file__).resolve().parents[1]
CLIP_MS = 5000
BATCH = 10  # clips between two looks at the process
LONG = 300  # seconds of a source: a real recording of some 17 s, again and again; each stretch of it is another clip
RECORDINGS = ("talker_hands_speech_wim", "selfie_rotated90_2people_cc", "man_walking_antarctica", "hikers_walking_audio_cc")
LOOKS = ("null", "hflip", "eq=brightness=0.06")  # so that an hour has twelve sources
SECONDS = int(os.environ.get("DEEMO_SOAK", "150"))


def film(media: Path, folder: Path, seconds: int) -> list[Path]:
    """Sources of LONG seconds, small and slow, so that an hour of them can be waited for."""
    made = []
    for number in range(-(-seconds // LONG)):
        name, look = RECORDINGS[number % len(RECORDINGS)], LOOKS[number // len(RECORDINGS) % len(LOOKS)]
        made.append(folder / f"{number:02}.mp4")
        subprocess.run(
            [find_ffmpeg(), "-v", "error", "-stream_loop", "-1", "-i", str(media / "video" / f"{name}.mp4"), "-t", str(LONG),
             "-vf", f"{look},fps=5,scale=-2:120", "-ac", "1", "-ar", "16000", "-g", "25", "-preset", "veryfast", str(made[-1])],
            check=True,
        )  # fmt: skip
    return made


def soak(folder: Path, seconds: int) -> None:
    """Runs in a process of its own. After each batch a line in FOLDER/looks.jsonl: clips so far, memory, open files, threads."""
    from deemo_data.clip import Clip
    from deemo_data.pipeline import run
    from deemo_data.project import release
    from deemo_data.project.project import Project
    from deemo_data.workflow import ingest

    project = Project.make(folder / "project")
    config = project.root / "deemo.toml"
    config.write_text(config.read_text().replace("vfr_fps = 30", "vfr_fps = 5"))
    project = Project.open(project.root)
    ingest.ingest_sources(project, str(folder / "footage"), "they said yes")
    wholes = [s.with_results({}, {"known_names": [], "drawn": [], "speakers_said": {}}) for s in project.read_sources()]
    clips = [Clip.of_span(s, at, at + CLIP_MS) for s in wholes for at in range(0, LONG * 1000, CLIP_MS)][
        : seconds * 1000 // CLIP_MS
    ]
    came = released = 0
    with (folder / "looks.jsonl").open("a", buffering=1) as looks:
        for first in range(0, len(clips), BATCH):
            done, failures = run.run_stages(
                project.config.attempts[0], clips[first : first + BATCH], store_dir=project.store_dir, secret=project.secret
            )
            for f in failures:
                raise RuntimeError(f"{f.clip.id} {f.stage}: {f.reason} {f.bug}")
            came += len(done)
            released += len(release.release_clips(done, project)[0])
            said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            look = {"clips": came, "released": released, "kb": int(said["VmRSS"].split()[0]), "threads": int(said["Threads"]),
                    "files": len(os.listdir("/proc/self/fd"))}  # fmt: skip
            looks.write(json.dumps(look) + "\n")


@pytest.mark.slow
@pytest.mark.timeout(max(600, 8 * SECONDS))
def test_neither_memory_nor_open_files_grow(media: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "footage").mkdir()
    film(media, tmp_path / "footage", SECONDS)
    script = f"from tests import test_soak; from pathlib import Path; test_soak.soak(Path({str(tmp_path)!r}), {SECONDS})"
    path = os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": path})
    check(tmp_path / "looks.jsonl", SECONDS * 1000 // CLIP_MS)


def check(path: Path, clips: int) -> None:
    """From the time on when every model is loaded and each pool is as large as it gets, nothing grows any more."""
    looks = [json.loads(line) for line in path.read_text().splitlines()]
    assert looks[-1]["clips"] == clips
    assert looks[-1]["released"] >= 0.9 * clips, "they have to get through"
    warm = looks[len(looks) // 2 :]
    assert {x["files"] for x in warm} == {looks[1]["files"]}, "a file stays open"
    assert {x["threads"] for x in warm} == {looks[1]["threads"]}, "a thread stays"
    grown = (warm[-1]["kb"] - warm[0]["kb"]) / warm[0]["kb"]
    a_clip = slope([x["clips"] for x in warm], [x["kb"] for x in warm])
    still = 0.02 if clips >= 300 else 0.15  # it takes some 80 clips until the pools of memory are as large as they get
    assert grown < still, f"memory grew by {grown:.1%}, {a_clip:.0f} kB a clip"


def slope(xs: list[int], ys: list[int]) -> float:
    """Of the straight line through the points that fits best."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
