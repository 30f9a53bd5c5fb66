"""How the cost of a project grows with its clips: `deemo status`, a `deemo run` with nothing to do, release and export.

usage: python bench/scale.py [CLIPS ...] [--keep DIR] [--repeats N] [--what NAME ...]

Makes projects of so many clips (by default 10, 100 and 1000) whose store holds all that the stages would have made: real keys
and entries, little files. Each thing is timed as a fresh process, least of N, with the peak memory of its process.
Prints seconds, ms a clip and memory, and appends one line to bench/results.jsonl.

    status         deemo status
    run            deemo run, everything in the store
    release-first  release of all clips, with nothing released yet
    release        the same again
    export-first   deemo export, with no dataset yet: reads each clip's video, body and prosody
    export         the same again: what is in the tables is worked out and written anew, and thrown away where it is the same
    plan           which clips may go, under which names, and which subject into which split: what release and export decide,
                   without reading, linking or writing what is decided about; after `export`, which leaves the looks of the videos
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
REPO = BENCH.parent
sys.path.insert(0, str(REPO))

FRAMES = 25  # of a clip: one second
PER_SOURCE = 100  # clips of a source; every source has a subject of its own
WHAT = ("status", "run", "release-first", "release", "export-first", "export", "plan")
WORDS = "So I told them what I saw and then we went home again because it was late"


# ── a project with so many clips ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Little:
    """The files that every clip's entries share: one of each kind, and a video for each subject."""

    folder: Path

    def make(self, sources: int) -> None:
        import numpy as np

        from deemo_data.clip import Grid
        from deemo_data.media import encode
        from deemo_data.pipeline.order import STAGE_ORDER
        from deemo_data.tracks.body import Body, write_body
        from deemo_data.tracks.prosody import Prosody, write_prosody

        self.folder.mkdir()
        for stage in STAGE_ORDER:
            for name, file in stage.makes.items():
                (self.folder / file).write_text(json.dumps({"looked_at": FRAMES, "frames": [0]}) if name == "leaks" else name)
        rng = np.random.default_rng(0)
        points = rng.random((FRAMES, 1, 64, 3), np.float32)
        write_body(Body(points, np.ones(points.shape[:3], np.float32)), self.folder / "body.parquet")
        steps = 100
        flat = np.full(steps, 1, np.float32)
        write_prosody(Prosody(flat, flat, flat > 0, flat), self.folder / "prosody.parquet")
        grid = Grid(Fraction(25), False, Fraction(0), FRAMES, 64, 36)
        for number in range(sources):  # a video of each subject's own, so that no two subjects look alike
            blocks = rng.integers(16, 235, (9, 16), np.uint8).repeat(4, 0).repeat(4, 1)
            picture = np.concatenate([blocks, np.full((18, 64), 128, np.uint8)])
            encode.write_video(self.folder / f"{number}.mp4", [picture] * FRAMES, grid, 23, "ultrafast")

    def video(self, source: int, clip: int) -> bytes:
        """The source's video with an empty box at its end that makes it this clip's own."""
        return (self.folder / f"{source}.mp4").read_bytes() + (16).to_bytes(4) + b"free" + clip.to_bytes(8)


def make_project(root: Path, clips: int, workers: int = 2) -> None:
    """A project of so many clips that has been through `deemo run`, with three labels a clip."""
    from deemo_data.clip import Clip, write_clips
    from deemo_data.files import append_lines
    from deemo_data.project.project import Project

    project = Project.make(root, "hardened")
    sources = -(-clips // PER_SOURCE)
    (root / "footage").mkdir()
    (project.private_dir / "subjects.csv").write_text("source,subject,name,known_names\n")
    for stage in project.config.attempts[0]:
        (project.store_dir / type(stage).__name__).mkdir()
    parts = [range(n, min(n + 20, sources)) for n in range(0, sources, 20)]
    whole: list[Clip] = []
    rows = root / "rows"
    rows.mkdir()
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        pool.submit(Little(root / "little").make, sources).result()
        for made in pool.map(partial(_make_sources, root, clips), parts):
            whole += made
    write_clips(whole, root / "sources.jsonl")
    by_id = sorted(whole, key=lambda s: s.source)
    with open(root / "clips.jsonl", "w") as f:
        for source in by_id:
            f.write((rows / f"{source.source}.clips").read_text())
    for source in by_id:
        append_lines(
            project.labels_dir / "bench.jsonl",
            [json.loads(r) for r in (rows / f"{source.source}.labels").read_text().splitlines()],
        )
    shutil.rmtree(rows)


def _make_sources(root: Path, clips: int, numbers: range) -> list[Any]:
    """The sources of these numbers with all entries of their clips; rows of clips and labels go to root/rows."""
    from deemo_data import pseudonyms
    from deemo_data.clip import Clip, Grid
    from deemo_data.files import File
    from deemo_data.pipeline import run
    from deemo_data.project.clips import stage_outputs_of
    from deemo_data.project.project import Project

    project = Project.open(root)
    ready = _Ready(project, Little(root / "little"), root / "little" / f"links-{numbers.start}")
    found = []
    for number in numbers:
        path = root / "footage" / f"{number}.mp4"
        path.write_text(f"source {number} of a bench")
        file, stat = File.of(path), path.stat()
        here = range(number * PER_SOURCE, min((number + 1) * PER_SOURCE, clips))
        grid = Grid(Fraction(25), False, Fraction(0), FRAMES * len(here), 64, 36)
        facts = {
            "grid": grid.to_fact(), "has_sound": True, "stamp": [stat.st_size, stat.st_mtime_ns], "subject": f"s-{number:08x}",
            "sound": {"tracks": [0], "mix": "mean", "gain_db": 0.0}, "notices": [],
            "subject_assumed": False, "consent": {"statement": "a bench", "asserted": True}, "licence": None, "spans": [],
        }  # fmt: skip
        name = file.sha256[:12]
        source = Clip(name, name, 0, grid.ms_at(grid.frames), {"source": file}, facts)
        found.append(source)
        rows, said = [], []
        whole = source.with_results({}, {"drawn": [], "speakers_said": {}, "known_names": []})
        of_source = {entries.name: ready.made(entries, whole, number, number) for entries in ready.per_source}
        for place, clip_number in enumerate(here):
            bare = clip = Clip.of_span(whole, 1000 * place, 1000 * (place + 1))
            for entries in ready.stages:
                made = of_source.get(entries.name) or ready.made(entries, clip, number, clip_number)
                clip = clip.with_results(*made)
            if not place and run.replay_from_store(ready.stages, bare) != clip:
                raise SystemExit(f"clip {clip.id} is not what the store finds")
            rows.append(json.dumps(stage_outputs_of(clip).to_row(), sort_keys=True) + "\n")
            said += _labels(
                pseudonyms.derive_public_id(project.secret, "c", clip.id),
                pseudonyms.derive_public_id(project.secret, "v", name),
                place,
            )
        (root / "rows" / f"{name}.clips").write_text("".join(rows))
        (root / "rows" / f"{name}.labels").write_text("".join(json.dumps(row) + "\n" for row in said))
    return found


def _labels(clip: str, source: str, place: int) -> Iterator[dict[str, Any]]:
    from deemo_data.labels.label import Label, region_key

    start, end = 1000 * place, 1000 * (place + 1)
    for kind, value, a, b in (
        ("seen", "nfbl", start, end),
        ("nfbl", {"label": "Folding arms", "certainty": None}, start + 200, start + 600),
        ("emotion", ("happy", "sad", "neutral")[place % 3], start, end),
    ):
        yield {"key": f"1/{clip}/{region_key(clip, kind)}", **vars(Label(clip, source, a, b, kind, value, "a-1"))}


class _Ready:
    """Writes entries as store._make does, with hard links to little files.

    Digests are true of the footage, of what is released and of what release() reads. Of other files, which nobody reads, they are
    made up: each clip's would be others, and so are the keys of the stages that come after.
    """

    def __init__(self, project: Any, little: Little, links: Path) -> None:
        from deemo_data.files import File
        from deemo_data.pipeline import environment, store
        from deemo_data.pipeline.entry import format_entry
        from deemo_data.pipeline.order import PER_SOURCE_STAGES as WHOLE
        from deemo_data.project.release import PUBLIC_FILES

        self.stages = [store.StageEntries(s, project.store_dir, project.secret) for s in project.config.attempts[0]]
        self.per_source = [s for s in self.stages if isinstance(s.stage, WHOLE)]
        self.little, self.links, self.versions, self.format_entry = little, links, environment.library_versions(), format_entry
        self.parameters = {s.name: asdict(s.stage) for s in self.stages}
        self.size, self.true = dict[str, int](), dict[str, str]()
        links.mkdir()
        for stage in project.config.attempts[0]:
            for name, file in stage.makes.items():
                shutil.copyfile(little.folder / file, links / f"{name} {file}")
                self.size[name] = (links / f"{name} {file}").stat().st_size
                if name in (*PUBLIC_FILES, "leaks"):
                    self.true[name] = File.of(links / f"{name} {file}").sha256

    def made(self, entries: Any, clip: Any, source: int, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Files and facts of a new entry for the clip."""
        from deemo_data.files import File

        stage, home = entries.stage, entries.entry_dir(clip)
        os.mkdir(home)
        files = {}
        for name, file in stage.makes.items():
            if name == "safe":
                data = self.little.video(source, number)
                Path(home, file).write_bytes(data)
                files[name] = {"name": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                continue
            os.link(self.links / f"{name} {file}", f"{home}/{file}")
            sha256 = self.true.get(name) or hashlib.sha256(f"{name} {clip.id}".encode()).hexdigest()
            files[name] = {"name": file, "bytes": self.size[name], "sha256": sha256}
        facts: dict[str, Any] = {
            "transcript": f"{WORDS} [NAME] {number}", "language": [], "body_unit": "picture", "leaks_passed": True,
            "leaks_summary": {"passed": True, "looked_at": FRAMES, "with_a_face": 0, "not_confirmed": 0},
            "proposals": [{"rule": "folded_arms", "start_frame": 2, "end_frame": 9, "score": 0.5, "why": "wrists cross"}],
        }  # fmt: skip
        facts |= {n: [] for n in stage.tells if n.endswith("notices")}
        told = {n: facts.get(n) for n in stage.tells}
        entry = {
            "clip": clip.id, "source": clip.source, "stage": entries.name, "version": stage.version,
            "parameters": self.parameters[entries.name],
            "needs": {n: clip.files[n].sha256 for n in entries.needs if n in clip.files},
            "files": files, "facts": told, "seconds": 1.234, "versions": self.versions,
        }  # fmt: skip
        with open(f"{home}/entry.json", "w") as f:
            f.write(self.format_entry(entry))
        return {n: File(f"{home}/{f['name']}", f["sha256"]) for n, f in files.items()}, told


# ── what is timed ────────────────────────────────────────────────────────────────────────────────────────────

RELEASE = """
import sys
from pathlib import Path
from deemo_data.project import release
from deemo_data.project.project import Project
project = Project.open(Path(sys.argv[1]))
with project.lock():
    safe, problems = release.release_current_clips(project)
print(len(safe), len(problems))
sys.exit(bool(problems))
"""

PLAN = """
import sys
from pathlib import Path
from deemo_data.dataset.export import export
from deemo_data.pipeline import store
from deemo_data.project import release
from deemo_data.project.project import Project
from deemo_data.workflow.export import export_project
store.check_stage_file = lambda clip, name: None
release.link_or_copy = lambda path, there, sha256: False
release._remove_unwanted = lambda folder, wanted: None
def stop_after_planning(plan):
    print(len(plan.split_of), "subjects")
    sys.exit(0)
export.DatasetWriter = stop_after_planning
export_project(Project.open(Path(sys.argv[1])))
"""

SCRIPTS = {"release": RELEASE, "plan": PLAN}


def command(what: str, root: Path) -> list[str]:
    name = what.removesuffix("-first")
    if name in SCRIPTS:
        return [sys.executable, "-c", SCRIPTS[name], str(root)]
    return [sys.executable, "-m", "deemo_data.cli", name, str(root)]


def prepare(what: str, root: Path) -> None:
    if what == "release-first":
        shutil.rmtree(root / "out" / "released", ignore_errors=True)
    if what == "export-first":
        shutil.rmtree(root / "out" / "dataset", ignore_errors=True)


def timed(what: str, root: Path) -> dict[str, float]:
    """Wall and CPU seconds of a fresh process, and the most memory it held, in MB."""
    prepare(what, root)
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command(what, root), stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1"}
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{what} of {root}: exit status {process.returncode}: {said.read()[-2000:]}")
    return {"s": round(wall, 3), "cpu_s": round(usage.ru_utime + usage.ru_stime, 3), "mb": round(usage.ru_maxrss / 1024)}


def measure(sizes: Sequence[int], what: Sequence[str], keep: Path, repeats: int) -> dict[str, dict[int, dict[str, float]]]:
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in what}
    for clips in sizes:
        root = keep / str(clips)
        if not (root / "made").exists():
            shutil.rmtree(root, ignore_errors=True)
            began = time.perf_counter()
            make_project(root, clips)
            (root / "made").touch()
            print(f"{clips} clips: made in {time.perf_counter() - began:.0f} s", flush=True)
        for name in what:
            rows = [timed(name, root) for _ in range(repeats if not name.endswith("first") or clips <= 1000 else 1)]
            best = min(rows, key=lambda row: row["cpu_s"])
            found[name][clips] = best | {"most_s": max(r["s"] for r in rows), "mb": max(r["mb"] for r in rows)}
            row = found[name][clips]
            print(f"{name:14}{clips:8} clips  {row['s']:8.2f} s (to {row['most_s']:.2f})  CPU {row['cpu_s']:8.2f} s"
                  f"  {1000 * row['cpu_s'] / clips:9.3f} ms a clip  {row['mb']:6.0f} MB", flush=True)  # fmt: skip
    return found


def growth(rows: dict[int, dict[str, float]]) -> float | None:
    """How many times as much CPU time one more clip costs between the two largest sizes as between the two before."""
    sizes = sorted(rows)
    if len(sizes) < 3:
        return None
    slopes = [(rows[b]["cpu_s"] - rows[a]["cpu_s"]) / (b - a) for a, b in pairwise(sizes)]
    return slopes[-1] / slopes[-2] if slopes[-2] > 0 else None


def main() -> int:
    from run import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--keep", type=Path, help="make the projects here and leave them; those that are there are used again")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--what", nargs="*", choices=WHAT, default=WHAT)
    asked = parser.parse_args()
    facts = machine()
    with tempfile.TemporaryDirectory() as folder:
        keep = asked.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        found = measure(sorted(asked.clips), asked.what, keep, asked.repeats)
    ratios = {name: round(g, 2) for name, rows in found.items() if (g := growth(rows)) is not None}
    for name, ratio in ratios.items():
        print(f"{name}: one more clip costs {ratio} times as much CPU time at the largest size as at the one before")
    line = {"bench": "scale", "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": facts, "rows": found,
            "growth": ratios}  # fmt: skip
    with open(BENCH / "results.jsonl", "a") as f:
        f.write(json.dumps(line, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
