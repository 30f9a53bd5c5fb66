"""Side by side in one run: deface, data-juicer's face blur, a plain transcode, our face path, our full run; and McAdams.

usage: python bench/run.py [--clip PATH] [--media DIR] [--repeats N] [--skip NAME ...] [--profile P]

Wall-clock seconds of a fresh process each, model loading counted, median of N, order turned from repeat to repeat.
What stays visible is measured beside it, by bench/recall.py. Prints a table and appends one line to bench/results.jsonl.
Exit status 1 when one of them failed.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
REPO = BENCH.parent
WORK = BENCH / ".work"
sys.path.insert(0, str(REPO))

FACE_PATH = ("FindFaces", "MaskVideo", "Assemble")  # made inside the clock; the body and the voice before it
DEFACE = ("deface==1.5.0", "onnxruntime", "opencv-python-headless")
JUICER = ("py-data-juicer==1.6.1", "av==13.1.0", "opencv-contrib-python==4.12.0.88", "aiohttp")  # what its face blur imports
LIBROSA = ("librosa==0.11.0",)
VERSIONS = ("av", "imageio-ffmpeg", "mediapipe", "numpy", "onnxruntime", "opencv-contrib-python-headless")


class BenchError(Exception):
    """A step that has to work before anything can be timed did not."""


@dataclass
class Contestant:
    """One thing that is timed: `prepare` runs outside the clock and gives the command; `made` finds what came out."""

    name: str
    prepare: Callable[[Path], list[str]]
    made: Callable[[Path], Path]
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    frames: int = 0
    megabytes: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    recall: dict[str, int] = field(default_factory=dict)
    judge: Callable[[Path], dict[str, int]] | None = None  # what the masked clip still shows; outside the clock
    error: str = ""

    def race(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command, clock = self.prepare(folder), time.time()
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            self.error = f"exit status {done.returncode}: {last_line(done.stderr or done.stdout)}"
            return
        self.seconds.append(wall)
        self.cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        out = self.made(folder)
        self.frames, self.megabytes = count_frames(out), out.stat().st_size / 1e6
        self.stages = stage_seconds(folder, clock)
        if self.judge and not self.recall:
            self.recall = self.judge(out)
        shutil.rmtree(folder)

    def row(self) -> dict[str, Any]:
        if not self.seconds:
            return {"error": self.error or "did not run"}
        figures = {"median_s": statistics.median(self.seconds), "least_s": min(self.seconds), "most_s": max(self.seconds),
                   "cpu_s": statistics.median(self.cpu), "megabytes": self.megabytes}  # fmt: skip
        rounded = {n: round(v, 3) for n, v in figures.items()}
        stages = ({"stages": self.stages} if self.stages else {}) | ({"recall": self.recall} if self.recall else {})
        return (
            rounded
            | stages
            | {"frames": self.frames, "repeats": len(self.seconds)}
            | ({"error": self.error} if self.error else {})
        )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPO)}


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:200]


def checked(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        shown = " ".join(command[-4:]).replace(str(REPO), ".").replace(str(REPO.parent), "..")
        raise BenchError(f"{shown}: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def count_frames(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(container.streams.video[0]))


def stage_seconds(folder: Path, since: float) -> dict[str, float]:
    """What each stage says that it took, model loading included: of the entries written after `since`."""
    took: dict[str, float] = {}
    for entry in folder.glob("project/private/store/*/*/entry.json"):
        if entry.stat().st_mtime >= since:
            took[entry.parent.parent.name] = round(
                took.get(entry.parent.parent.name, 0) + json.loads(entry.read_text())["seconds"], 2
            )
    return dict(sorted(took.items(), key=lambda item: -item[1]))


def own_venv(name: str, wanted: tuple[str, ...]) -> Path:
    """bench/.venv-NAME with these packages, made once."""
    folder = BENCH / f".venv-{name}"
    note = folder / ".holds"
    if not note.exists() or note.read_text() != " ".join(wanted):
        print(f"making {folder.name}: {' '.join(wanted)}", flush=True)
        checked([sys.executable, "-m", "venv", "--clear", str(folder)])
        checked([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted])
        note.write_text(" ".join(wanted))
    return folder / "bin"


# ── who takes part ───────────────────────────────────────────────────────────────────────────────────────────


def deface(clip: Path) -> Contestant:
    command = str(own_venv("deface", DEFACE) / "deface")
    return Contestant("deface", lambda to: [command, str(clip), "-o", str(to / "out.mp4")], lambda to: to / "out.mp4")


def juicer(clip: Path) -> Contestant:
    command = [str(own_venv("juicer", JUICER) / "python"), str(BENCH / "juicer.py"), str(clip)]
    return Contestant("data-juicer", lambda to: [*command, str(to)], lambda to: to / "out.mp4")


def transcode(clip: Path) -> Contestant:
    from deemo_data.media.ffmpeg import find_ffmpeg

    how = ["-c:v", "libx264", "-preset", "medium", "-crf", "23", "-c:a", "aac"]
    start = [find_ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", str(clip)]
    return Contestant("transcode", lambda to: [*start, *how, str(to / "out.mp4")], lambda to: to / "out.mp4")


def recall(clip: Path, models: Path) -> Callable[[Path], dict[str, int]]:
    """Faces covered and hands kept in a masked clip: bench/recall.py, in a process of its own."""

    def judge(masked: Path) -> dict[str, int]:
        command = [sys.executable, str(BENCH / "recall.py"), str(clip), str(masked), "--models", str(models)]
        said: dict[str, int] = json.loads(checked(command).splitlines()[-1])
        return said

    return judge


def deemo(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "deemo_data.cli", *map(str, arguments)]


def project_of(clip: Path, profile: str) -> Path:
    """A project with the whole clip run through once: what the timed runs are copies of."""
    from deemo_data.media.probe import probe_video

    base = WORK / "project"
    shutil.rmtree(base, ignore_errors=True)
    WORK.mkdir(exist_ok=True)
    with open(WORK / "sources.csv", "w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["uri", "subject", "start_ms", "end_ms"])
        rows.writerow([clip, "bench", 0, probe_video(clip)["duration_ms"]])
    print("preparing a project (outside the clock)", flush=True)
    checked(deemo("init", base, "--profile", profile))
    checked(deemo("ingest", base, WORK / "sources.csv", "--consent", "timing only"))
    checked(deemo("segment", base))
    if len((base / "clips.jsonl").read_text().splitlines()) != 1:
        raise BenchError("the clip was cut in pieces: this bench wants it whole")
    checked(deemo("run", base, "--until", "assemble"))
    return base


def ours(name: str, base: Path, anew: tuple[str, ...], until: tuple[str, ...]) -> Contestant:
    """`deemo run` on a copy of the project whose store lacks what these stages made (all of it, if none is named)."""

    def prepare(folder: Path) -> list[str]:
        shutil.copytree(base, folder / "project", symlinks=True)
        for stage in (folder / "project" / "private" / "store").iterdir():
            if not anew or stage.name in anew:
                shutil.rmtree(stage)
        return deemo("run", folder / "project", *until)

    def made(folder: Path) -> Path:
        entry = next((folder / "project" / "private" / "store" / "Assemble").glob("*/entry.json"))
        return entry.parent / json.loads(entry.read_text())["files"]["safe"]["name"]

    return Contestant(name, prepare, made)


def mcadams(media: Path, repeats: int) -> dict[str, Any]:
    """CPU seconds for 30 s of speech: ours, and a warm loop over librosa.lpc; in one process, by turns."""
    ours = ("numpy", "pydantic-core")  # what deemo_data.voice imports
    wanted = (*LIBROSA, *(f"{name}=={importlib.metadata.version(name)}" for name in ours))
    python = own_venv("librosa", wanted) / "python"
    wave = media / "audio" / "diar" / "sample.wav"
    said: dict[str, Any] = json.loads(checked([str(python), "-W", "ignore", str(BENCH / "mcadams.py"), str(wave), str(repeats)]))
    return said


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": models[0] if models else platform.processor(), "cores": cores, "system": platform.system(),
            "python": platform.python_version(), "load": round(os.getloadavg()[0], 2)}  # fmt: skip


def versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found | {"peers": " ".join((*DEFACE[:1], *JUICER[:1], *LIBROSA))}


def table(rows: dict[str, dict[str, Any]], voice: dict[str, Any]) -> str:
    peer = rows.get("deface", {}).get("median_s")
    plain = rows.get("transcode", {}).get("median_s")
    lines = [f"{'':22}{'median s':>9}{'least–most':>16}{'CPU s':>8}{'x deface':>10}{'x transcode':>13}{'frames':>8}{'MB':>7}"]
    for name, row in rows.items():
        if "median_s" not in row:
            lines.append(f"{name:22}  failed: {row['error']}")
            continue
        took = row["median_s"]
        against = [f"{p / took:.2f}" if p else "-" for p in (peer, plain)]
        spread = f"{row['least_s']:.1f}–{row['most_s']:.1f}"
        lines.append(
            f"{name:22}{took:9.1f}{spread:>16}{row['cpu_s']:8.1f}{against[0]:>10}{against[1]:>13}{row['frames']:8d}{row['megabytes']:7.2f}"
        )
        if "stages" in row:
            lines.append(f"{'':4}{', '.join(f'{stage} {seconds:.1f}' for stage, seconds in row['stages'].items())}")
        if "recall" in row:
            r = row["recall"]
            shown = f"{r['faces'] - r['faces_bare']} of {r['faces']} faces covered, {r['hands_kept']} of {r['hands']} hands kept"
            lines.append(f"{'':4}{shown} (every fifth frame)")
        if "error" in row:
            lines.append(f"{'':22}  failed once: {row['error']}")
    if "error" in voice:
        lines.append(f"McAdams: failed: {voice['error']}")
    elif voice:
        pairs = [(n, voice[n]) for n in ("ours", "librosa")]
        told = ", ".join(f"{n} {v['median']:.3f} ({v['least']:.3f}–{v['most']:.3f})" for n, v in pairs)
        lines.append(f"McAdams, CPU s for {voice['speech_s']:.0f} s of speech: {told}")
        lines.append(f"{'':9}{voice['ratio']:.2f} times the loop's speed, outputs at most {voice['difference']:.1e} apart")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=REPO.parent / "shared" / "media")
    parser.add_argument("--clip", type=Path, help="default: video/talker_hands_speech_wim.mp4 of --media")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", default="hardened")
    names = ("deface", "data-juicer", "transcode", "face-path", "full-run", "mcadams")
    parser.add_argument("--skip", nargs="*", default=[], choices=names)
    asked = parser.parse_args()
    clip = (asked.clip or asked.media / "video" / "talker_hands_speech_wim.mp4").resolve()
    if not clip.is_file():
        parser.error(f"{clip.name} is not there; give --clip or --media")

    facts, frames = machine(), count_frames(clip)  # counting also warms the disk cache
    taking_part: list[Contestant] = []
    rows: dict[str, dict[str, Any]] = {}
    for name, peer in (("deface", deface), ("data-juicer", juicer)):
        try:
            if name not in asked.skip:
                taking_part.append(peer(clip))
        except BenchError as e:
            rows[name] = {"error": str(e)}
    if "transcode" not in asked.skip:
        taking_part.append(transcode(clip))
    try:
        if not {"face-path", "full-run"} <= set(asked.skip):
            base = project_of(clip, asked.profile)
            both = [ours("face-path", base, FACE_PATH, ("--until", "assemble")), ours("full-run", base, (), ())]
            taking_part += [c for c in both if c.name not in asked.skip]
    except BenchError as e:
        rows |= {n: {"error": str(e)} for n in ("face-path", "full-run") if n not in asked.skip}

    if (asked.media / "models").is_dir():
        for contestant in taking_part:
            if contestant.name != "transcode":
                contestant.judge = recall(clip, asked.media / "models")
    for turn in range(asked.repeats):
        first = turn % len(taking_part) if taking_part else 0
        for contestant in taking_part[first:] + taking_part[:first]:
            print(f"repeat {turn + 1} of {asked.repeats}: {contestant.name}", flush=True)
            contestant.race(WORK / contestant.name)
    rows |= {c.name: c.row() for c in taking_part}
    voice: dict[str, Any] = {}
    if "mcadams" not in asked.skip:
        try:
            voice = mcadams(asked.media, max(asked.repeats, 3))
        except BenchError as e:
            voice = {"error": str(e)}

    print(f"\n{clip.name}, {frames} frames, profile {asked.profile}")
    print(f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}, load {facts['load']} at the start")
    print(f"face-path = {' + '.join(FACE_PATH)}, the body and the voice made before the clock starts; full-run = all stages")
    print(table({n: rows[n] for n in names if n in rows}, voice))
    line = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": facts,
        "versions": versions(),
        "clip": {"name": clip.name, "frames": frames},
        "profile": asked.profile,
        "results": rows,
        "mcadams": voice,
    }
    with open(BENCH / "results.jsonl", "a") as f:
        f.write(json.dumps(line, sort_keys=True) + "\n")
    return int(any("error" in r for r in [*rows.values(), voice]))


if __name__ == "__main__":
    sys.exit(main())
