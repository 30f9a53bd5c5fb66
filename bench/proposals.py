"""How well the rules propose: precision and recall by class against hand-made labels, on clips it was tuned on, and others.

usage: python bench/proposals.py [--media DIR] [--project DIR] [--profile P] [--labels FILE]

The tracks are made once, in bench/.work/proposals (minutes), then the rules run on each clip. Prints one table and appends one
line to bench/results.jsonl. Nothing here is asserted: few classes have more than two events in this footage.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from run import BENCH, REPO, WORK, BenchError, checked, deemo, machine, versions

LABELS = REPO / "tests" / "hand_labels" / "labels.json"
OVERLAPS = (0.3, 0.5)
SETS = ("tune", "held")
Event = tuple[int, int]


@dataclass
class Count:
    """Of one class: events labelled, proposed, matched at each overlap, and frames."""

    labelled: int = 0
    proposed: int = 0
    matched: dict[float, int] = field(default_factory=lambda: dict.fromkeys(OVERLAPS, 0))
    frames_labelled: int = 0
    frames_proposed: int = 0
    frames_both: int = 0

    def add(self, labels: Sequence[Event], proposals: Sequence[Event], guesses: Sequence[Event]) -> None:
        """One clip's events of this class. What somebody only guessed counts neither for nor against."""
        pairs = {at: matches(labels, proposals, at) for at in OVERLAPS}
        hit = {p for _, p in pairs[min(OVERLAPS)]}
        counted = [p for n, p in enumerate(proposals) if n in hit or not any(iou(p, g) >= min(OVERLAPS) for g in guesses)]
        self.labelled += len(labels)
        self.proposed += len(counted)
        for at, found in pairs.items():
            self.matched[at] += len(found)
        left_out = covered(guesses)
        said, shown = covered(labels) - left_out, covered(proposals) - left_out
        self.frames_labelled += len(said)
        self.frames_proposed += len(shown)
        self.frames_both += len(said & shown)

    def plus(self, other: Count) -> Count:
        return Count(
            self.labelled + other.labelled, self.proposed + other.proposed,
            {at: self.matched[at] + other.matched[at] for at in OVERLAPS},
            self.frames_labelled + other.frames_labelled, self.frames_proposed + other.frames_proposed,
            self.frames_both + other.frames_both,
        )  # fmt: skip

    def row(self) -> dict[str, Any]:
        at = {f"matched_{n}": self.matched[n] for n in OVERLAPS}
        frames = {"labelled": self.frames_labelled, "proposed": self.frames_proposed, "both": self.frames_both}
        return {"labelled": self.labelled, "proposed": self.proposed, **at, "frames": frames}


def iou(a: Event, b: Event) -> float:
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(both, 0) / (max(a[1], b[1]) - min(a[0], b[0]))


def matches(labels: Sequence[Event], proposals: Sequence[Event], at: float) -> list[tuple[int, int]]:
    """Pairs that overlap by at least `at`, each event in one pair at most, the best first."""
    near = sorted(((iou(a, b), i, j) for i, a in enumerate(labels) for j, b in enumerate(proposals)), reverse=True)
    found: list[tuple[int, int]] = []
    for value, i, j in near:
        if value >= at and all(i != a and j != b for a, b in found):
            found.append((i, j))
    return found


def covered(events: Iterable[Event]) -> set[int]:
    return {frame for start, end in events for frame in range(start, end)}


def tracks(labels: dict[str, Any], media: Path, project: Path, profile: str) -> Path:
    """A project in which the labelled clips have all that the rules need."""
    project.parent.mkdir(parents=True, exist_ok=True)
    table = project.parent / f"{project.name}.csv"
    with open(table, "w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["uri", "subject", "start_ms", "end_ms"])
        rows.writerows([media / "video" / c["file"], Path(c["file"]).stem, c["start_ms"], c["end_ms"]] for c in labels["clips"])
    print("tracking bodies (minutes, the first time)", flush=True)
    checked(deemo("init", project, "--profile", profile))
    checked(deemo("ingest", project, table, "--consent", "measuring only", "--replace"))
    checked(deemo("segment", project))
    for stage in ("track_body", "find_faces", "track_hands", "diarise", "assign_roles"):
        checked(deemo("run", project, "--only", stage))
    return project


def measured(labels: dict[str, Any], folder: Path) -> tuple[dict[str, dict[str, Count]], dict[str, Any]]:
    """{set: {class: count}}, and what the rules cost. Raises BenchError for a clip that the project does not have."""
    from deemo_data.labels.vocabulary import load_nfbl
    from deemo_data.project.clips import read_current_clips
    from deemo_data.project.project import Project
    from deemo_data.stages.detect.propose import Propose

    project, nfbl = Project(folder), load_nfbl("nfbl")
    stage = next((s for s in project.config.attempts[0] if isinstance(s, Propose)), Propose())
    clips = {(Path(c.path("source")).name, c.start_ms): c for c in read_current_clips(project)}
    counts: dict[str, dict[str, Count]] = {name: {} for name in SETS}
    seconds, frames, proposed = 0.0, 0, 0
    for row in labels["clips"]:
        clip = clips.get((row["file"], row["start_ms"]))
        if clip is None or clip.num_frames != row["frames"] or "roles" not in clip.files:
            raise BenchError(f"{row['file']} at {row['start_ms']} ms has no tracks of {row['frames']} frames")
        with tempfile.TemporaryDirectory() as out:
            if not frames:
                stage(clip.restrict_to(stage.needs), Path(out))  # what is imported is imported outside the clock
            began = time.perf_counter()
            found = stage(clip.restrict_to(stage.needs), Path(out))["proposals"]
            seconds, frames, proposed = seconds + time.perf_counter() - began, frames + row["frames"], proposed + len(found)
        names = {p["rule"]: c.name for p in found if (c := nfbl.class_of_rule(p["rule"]))}
        by_class: dict[str, tuple[list[Event], list[Event], list[Event]]] = {}
        for e in row["events"]:
            place = 2 if e["certainty"] == "guess" else 0
            by_class.setdefault(e["label"], ([], [], []))[place].append((e["start_frame"], e["end_frame"]))
        for p in found:
            if p["rule"] in names:
                by_class.setdefault(names[p["rule"]], ([], [], []))[1].append((p["start_frame"], p["end_frame"]))
        for name, events in by_class.items():
            counts[row["set"]].setdefault(name, Count()).add(*events)
    cost = {
        "ms_a_frame": round(seconds / frames * 1000, 3),
        "frames": frames,
        "clips": len(labels["clips"]),
        "proposals": proposed,
    }
    return counts, cost


def share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"


def table(counts: dict[str, dict[str, Count]]) -> str:
    head = "".join(f"{f'P@{at}':>8}{f'R@{at}':>7}" for at in OVERLAPS)
    lines = [f"{'':44}{'labelled':>9}{'proposed':>9}{head}{'P frames':>10}{'R frames':>9}"]
    for name in SETS:
        total = Count()
        for one in counts[name].values():
            total = total.plus(one)
        for label, c in [*sorted(counts[name].items()), ("all", total)]:
            at = "".join(f"{share(c.matched[n], c.proposed):>8}{share(c.matched[n], c.labelled):>7}" for n in OVERLAPS)
            of_frames = f"{share(c.frames_both, c.frames_proposed):>10}{share(c.frames_both, c.frames_labelled):>9}"
            lines.append(f"{name:6}{label:38}{c.labelled:9d}{c.proposed:9d}{at}{of_frames}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=REPO.parent / "shared" / "media")
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--project", type=Path, help="one that has the tracks already")
    parser.add_argument("--profile", default="hardened")
    asked = parser.parse_args()
    labels, facts = json.loads(asked.labels.read_text()), machine()
    if not (asked.media / "video").is_dir():
        parser.error("there is no footage: give --media")
    try:
        folder = asked.project or tracks(labels, asked.media.resolve(), WORK / "proposals", asked.profile)
        counts, cost = measured(labels, folder)
    except BenchError as e:
        print(f"failed: {e}", file=sys.stderr)
        return 1
    print(
        f"\nproposals against {asked.labels.name}: {cost['clips']} clips, {cost['frames']} frames, {cost['proposals']} proposals"
    )
    print(f"{facts['cpu']}, {facts['cores']} cores, load {facts['load']}; the rules take {cost['ms_a_frame']:.2f} ms a frame")
    print("tune: thresholds were chosen on these; held: kept aside at first (hand_labels says how). P precision, R recall")
    print(table(counts))
    line = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "bench": "proposals",
        "machine": facts,
        "versions": versions(),
        "profile": asked.profile,
        "cost": cost,
        "results": {s: {label: c.row() for label, c in sorted(counts[s].items())} for s in SETS},
    }
    with open(BENCH / "results.jsonl", "a") as f:
        f.write(json.dumps(line, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
