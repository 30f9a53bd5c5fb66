"""Push and pull against a real Label Studio on SQLite: seconds, and our memory, at several numbers of clips.

usage: python bench/label_studio.py [N ...]        needs make label-studio-venv; prints a table, appends to bench/results.jsonl

Each clip has 5 proposals; for the pull each has 2 annotations of 5 regions, imported with it. Beside the push stands Label
Studio's plain REST import of the same tasks. A server and a project of its own for each N; the page, the ledger and labels/
are written as `deemo push` and `deemo pull` do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import socket
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx

from deemo_data.annotation import pull, push
from deemo_data.annotation.label_studio import local_server, workspace
from deemo_data.annotation.pages import tasks
from deemo_data.clip import Clip, Grid, SafeClip
from deemo_data.files import File
from deemo_data.labels import label, store
from deemo_data.project.project import Project, load_vocabularies

RESULTS = Path(__file__).parent / "results.jsonl"
GRID = Grid(Fraction(25), False, Fraction(0), 10**9, 640, 360).to_fact()


def clips(count: int, rules: list[str]) -> list[SafeClip]:
    """Clips of 12 s, 50 a source, with 5 proposals each."""
    made = []
    for n in range(count):
        proposed = [
            {
                "rule": r,
                "start_frame": 10 * k,
                "end_frame": 10 * k + 8,
                "score": 0.5,
                "threshold": 0.4,
                "why": "A hand rests there.",
            }
            for k, r in enumerate(rules)
        ]
        facts = {"grid": GRID, "subject": f"s-{n // 50}", "transcript": "", "proposals": proposed}
        start = n % 50 * 12_000
        files = {"video": File(f"c-{n:016x}.mp4", "0" * 64)}
        made.append(SafeClip(Clip(f"c-{n:016x}", f"v-{n // 50:016x}", start, start + 12_000, files, facts)))
    return made


def annotated(payloads: list[dict[str, Any]], classes: list[str]) -> Iterator[dict[str, Any]]:
    """The same clips as they stand in an import, with two annotations each."""
    for payload in payloads:
        results = [
            {"id": f"{k:016x}", "from_name": "nfbl", "to_name": "video", "type": "timelinelabels",
             "value": {"ranges": [{"start": 10 * k + 1, "end": 10 * k + 8}], "timelinelabels": [name]}}
            for k, name in enumerate(classes)
        ]  # fmt: skip
        yield payload | {"annotations": [{"result": results, "ground_truth": False, "lead_time": 9.5} for _ in range(2)]}


def megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def timed(row: dict[str, Any], name: str, began: float) -> None:
    row[name] = round(time.monotonic() - began, 2)


def measure(count: int, folder: Path) -> dict[str, Any]:
    project = Project.make(folder / "project")
    nfbl, _ = load_vocabularies(project)
    known = [c for c in nfbl.classes if c.rule][:5]
    made = clips(count, [c.rule for c in known])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    row: dict[str, Any] = {"clips": count, "mb_before": megabytes()}
    with local_server.start_server(project, port):
        server = workspace.connect_server(project)
        began = time.monotonic()
        handed = push.push_clips(project, server, made, label.TIMELINE_TEMPLATE)
        timed(row, "push_s", began)
        if handed.new != count:
            raise SystemExit(f"{handed.new} of {count} clips were pushed")
        began = time.monotonic()
        push.push_clips(project, server, made, label.TIMELINE_TEMPLATE)
        timed(row, "push_again_s", began)
        row["mb_pushed"] = megabytes()
        number = workspace.read_project_numbers(project)[label.TIMELINE_TEMPLATE]
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=300) as client:
            client.post(
                "/api/dm/actions", params={"id": "delete_tasks", "project": number}, json={"selectedItems": {"all": True}}
            )
            payloads = [task.payload for task in tasks.build_tasks(made, label.TIMELINE_TEMPLATE, nfbl, share=1)]
            began = time.monotonic()
            for first in range(0, count, 500):  # the peer: Label Studio's own import of the same tasks, nothing checked
                client.post(f"/api/projects/{number}/import", json=payloads[first : first + 500]).raise_for_status()
            timed(row, "plain_import_s", began)
            client.post(
                "/api/dm/actions", params={"id": "delete_tasks", "project": number}, json={"selectedItems": {"all": True}}
            )
            answers = list(annotated(payloads, [c.name for c in known]))
            for first in range(0, count, 500):
                answer = client.post(f"/api/projects/{number}/import", json=answers[first : first + 500])
                answer.raise_for_status()
        began = time.monotonic()
        pulled = pull.pull(project)
        timed(row, "pull_s", began)
        row["mb_pulled"] = megabytes()
        began = time.monotonic()
        pull.pull(project)
        timed(row, "pull_again_s", began)
    found = sum(lb.kind == "nfbl" for lb in store.read_labels(project.labels_dir))
    if (pulled.annotations, found) != (2 * count, 10 * count):
        raise SystemExit(f"{pulled.annotations} annotations and {found} events came back of {2 * count} and {10 * count}")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1000])
    rows = []
    for count in parser.parse_args().counts:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(count, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
    said = {"bench": "label_studio", "at": time.strftime("%Y-%m-%dT%H:%M:%S"), "rows": rows}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 2)}
    with open(RESULTS, "a") as f:
        f.write(json.dumps(said | {"machine": machine}) + "\n")


if __name__ == "__main__":
    main()
