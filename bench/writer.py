"""The tables of a dataset: ours beside those that `datasets` writes of the same rows; seconds, memory and size.

usage: python bench/writer.py [ROWS]   (default 2000)

Rows have the columns of config nfbl, with 300 frames of 64 body points each. The peer is
`Dataset.from_generator(...).to_parquet(...)`, given the same columns of the same types; each in a process of its own.
Prints a table, appends to bench/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))
RESULTS = Path(__file__).parent / "results.jsonl"
FRAMES, POINTS = 300, 64


def rows(count: int, known: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of config nfbl, their body points as an Arrow array, as an export has them from a clip's own file."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(0)
    bodies = [rng.random(FRAMES * POINTS * 3).astype(np.float16) for _ in range(16)]
    empty = pa.array([], pa.float16())
    for n in range(count):
        event = {"start_ms": 0, "end_ms": 400, "start_frame": 0, "end_frame": 12, **known, "annotators": 2,
                 "agreement": 1.0, "status": "reviewed", "truncated": False}  # fmt: skip
        body = pa.array(bodies[n % 16])
        yield {
            "clip_id": f"c-{n:016x}", "subject_id": f"s-{n // 50:016x}", "subject_assumed": False,
            "file_name": f"clips/c-{n:016x}.mp4",
            "fps": 30.0, "fps_num": 30, "fps_den": 1, "num_frames": FRAMES, "duration_ms": 10_000, "width": 1280, "height": 720,
            "annotation": "reviewed", "events": [event] * 3, "body": body, "body_confidence": body[: FRAMES * POINTS],
            "body_frames": FRAMES, "body_people": 1, "body_points": POINTS, "body_dims": 3, "body_unit": "shoulders",
            "prosody_f0": empty, "prosody_energy": empty, "prosody_rate": empty, "transcript": "I met [NAME].",
            "consent": {"statement": "for research", "asserted": True}, "licence": "CC BY 4.0", "leaks": "{}",
            "provenance": [{"name": "video", "sha256": "0" * 64}], "vocabulary": "nfbl",
        }  # fmt: skip


def plain(count: int, known: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The same rows with numpy arrays, which `datasets` takes faster than lists."""
    for row in rows(count, known):
        yield {k: v.to_numpy() if hasattr(v, "to_numpy") else v for k, v in row.items()}


def write(who: str, count: int, out: Path) -> None:
    """In a process of its own: the table, and a line of JSON on what it took."""
    from deemo_data.dataset.tables import ROWS_PER_GROUP, TableWriter, nfbl_features
    from deemo_data.project.project import Project, load_vocabularies

    nfbl, _ = load_vocabularies(Project.make(out / "project"))
    features = nfbl_features(nfbl)
    known = {"label": nfbl.labels[0], "group": next(iter(nfbl.groups))}
    began, cpu = time.perf_counter(), time.process_time()
    if who == "ours":
        table = TableWriter(out / "t.parquet", features, ROWS_PER_GROUP["nfbl"])
        for row in rows(count, known):
            table.add(row)
        table.close()
    else:
        import datasets

        datasets.disable_progress_bars()

        how = {"count": count, "known": known}
        made = datasets.Dataset.from_generator(plain, features=features, cache_dir=str(out / "cache"), gen_kwargs=how)
        made.to_parquet(str(out / "t.parquet"))
    said = {"seconds": round(time.perf_counter() - began, 2), "cpu_s": round(time.process_time() - cpu, 2),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "mb": round((out / "t.parquet").stat().st_size / 1e6, 1)}  # fmt: skip
    print(json.dumps(said))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=2000)
    parser.add_argument("--write", nargs=2, metavar=("WHO", "DIR"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(asked.write[0], asked.rows, Path(asked.write[1]))
        return 0
    results: dict[str, list[dict[str, Any]]] = {"datasets": [], "ours": []}
    for who in ("datasets", "ours", "ours", "datasets", "datasets", "ours"):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, str(asked.rows), "--write", who, folder]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{who} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                return 1
            results[who].append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{asked.rows} rows of {FRAMES} frames x {POINTS} points, median of three (least–most)")
    print(f"{'':10}{'seconds':>18}{'CPU s':>8}{'peak MB':>9}{'file MB':>9}")
    medians = {}
    for who, found in results.items():
        by_time = sorted(r["seconds"] for r in found)
        medians[who] = by_time[1]
        middle = next(r for r in found if r["seconds"] == by_time[1])
        told = f"{by_time[1]:.1f} ({by_time[0]:.1f}–{by_time[2]:.1f})"
        print(f"{who:10}{told:>18}{middle['cpu_s']:8.1f}{middle['peak_mb']:9d}{middle['mb']:9.1f}")
    print(f"ours takes 1/{medians['datasets'] / medians['ours']:.1f} of the time")
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 2)}
    line = {"bench": "writer", "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rows": asked.rows, "results": results}
    with open(RESULTS, "a") as f:
        f.write(json.dumps(line | {"machine": machine}, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
