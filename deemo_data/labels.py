"""What people said about stretches of footage: an append-only store, the ledger of what was pushed, and the join to clips."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, write_if_changed
from deemo_data.errors import LabelError
from deemo_data.store import derive
from deemo_data.vocabulary import Nfbl

if TYPE_CHECKING:
    from deemo_data.release import SafeClip

LEDGER = "pushed.jsonl"
FITS = Fraction(9, 10)  # a clip-level label belongs to a clip whose span overlaps its own by this much (IoU)


@dataclass(frozen=True)
class Label:
    """What one person said about [start_ms, end_ms) of a source, on the source's clock.

    clip       public id of the clip that was looked at; for footage labelled elsewhere, the public id of its source
    source     public id of the source, as on a SafeClip
    kind       "nfbl" (value: {"label", "certainty"}), "emotion", "sentiment", "emotion_words" (value: list),
               "clue_video", "clue_audio", "clue_text", "reasoning", "choice", "rating", "text", "sound",
               "seen" (an annotation was handed in: also when it says that nothing happens), "proposal" (a machine's, as nfbl)
    annotator  pseudonym, never a name or address
    raw        what Label Studio exported for it, without who
    """

    clip: str
    source: str
    start_ms: int
    end_ms: int
    kind: str
    value: Any
    annotator: str
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pushed:
    """A line of the ledger: what an annotator was shown under a public clip id.

    fps         exact, as "30000/1001"
    first_frame the clip's frame 0 on the grid of its source
    vocabulary  name and version
    """

    clip: str
    source: str
    start_ms: int
    end_ms: int
    fps: str
    num_frames: int
    first_frame: int
    vocabulary: str


@dataclass(frozen=True)
class Placed:
    """A label on one clip: [start_frame, end_frame) of the clip; truncated when a part of it lies outside."""

    label: Label
    start_frame: int
    end_frame: int
    truncated: bool


def pseudonym(secret: bytes, who: object) -> str:
    """What an annotator is called here: an HMAC of their Label Studio id (or address, where there is only that)."""
    if isinstance(who, dict):
        who = next((who[k] for k in ("id", "email", "username") if who.get(k) is not None), None)
    return f"a-{derive(secret, f'annotator:{who}')[:12]}"


def write_tasks(
    clips: Sequence[SafeClip], folder: Path, path: Path, vocabulary: Nfbl, prefix: str = "/data/local-files/?d=released/"
) -> int:
    """A Label Studio import file with one of their tasks a clip, and a line each in the ledger. Gives how many clips.

    folder  the project's labels/
    prefix  what goes before the video's file name in its address
    """
    ordered = sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms))
    tasks = [{"data": task_data(c, prefix)} for c in ordered]
    record_pushed(ordered, folder, vocabulary)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_if_changed(path, json.dumps(tasks, indent=1) + "\n")
    return len(tasks)


def task_data(clip: SafeClip, prefix: str) -> dict[str, Any]:
    """What a template may ask for by $name. fps is a number: Label Studio takes text for 24."""
    fps = clip.grid.fps
    return {
        "clip": clip.id,
        "video": f"{prefix}{clip.path('video').name}",
        "fps": int(fps) if fps.denominator == 1 else float(fps),
        "num_frames": clip.num_frames,
        "title": clip.id,
    }


def record_pushed(clips: Iterable[SafeClip], folder: Path, vocabulary: Nfbl) -> None:
    """Note in the ledger what is about to be shown; what the ledger knows already is not written again."""
    lines = [
        Pushed(c.id, c.source, c.start_ms, c.end_ms, str(c.grid.fps), c.num_frames, c.first_frame, vocabulary.said) for c in clips
    ]
    known = set(read_ledger(folder))
    _append(folder / LEDGER, [asdict(p) for p in lines if p not in known])


def read_ledger(folder: Path) -> list[Pushed]:
    """Everything ever pushed, oldest first."""
    return [Pushed(**row) for row in _lines(folder / LEDGER)]


def in_force(folder: Path) -> list[Label]:
    """The labels of all files below labels/ that hold now: of each, the last line, unless that deletes it."""
    return [label for _, label in sorted(_keyed(folder).items(), key=lambda kv: kv[0])]


@dataclass(frozen=True)
class Change:
    """What an import did to the store."""

    added: int
    changed: int
    deleted: int
    same: int


def update(folder: Path, name: str, said: dict[str, Label], gone: Iterable[str] = ()) -> Change:
    """Write labels by key into labels/NAME.jsonl: new ones and changed ones as new lines, and a line for each that is gone.

    A key says which region of which annotation it is; the same said twice adds nothing.
    """
    now = _keyed(folder)
    added = [k for k in said if k not in now]
    changed = [k for k in said if k in now and now[k] != said[k]]
    deleted = sorted(k for k in set(gone) if k in now and k not in said)
    lines: list[dict[str, Any]] = [{"key": k, **asdict(said[k])} for k in (*added, *changed)]
    _append(folder / f"{name}.jsonl", [*lines, *({"key": k, "deleted": True} for k in deleted)])
    return Change(len(added), len(changed), len(deleted), len(said) - len(added) - len(changed))


def keys_in_force(folder: Path) -> list[str]:
    return sorted(_keyed(folder))


def _keyed(folder: Path) -> dict[str, Label]:
    found: dict[str, Label] = {}
    for path in sorted(folder.glob("*.jsonl")):
        if path.name == LEDGER:
            continue
        for row in _lines(path):
            key = row.pop("key")
            if row.get("deleted"):
                found.pop(key, None)
            else:
                try:
                    found[key] = Label(**row)
                except TypeError as e:
                    raise LabelError(f"{path.name}: {e}", "Was it written by another version of deemo?") from e
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; one that a killed process left half written is none."""
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text("utf-8").split("\n")[:-1], 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as e:
            raise LabelError(f"{path.name} line {number} cannot be read: {e}", "Put the file back from your backup") from e
    return rows


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        f.truncate(f.read().rfind(b"\n") + 1)  # half a line of a killed process
        f.write("".join(json.dumps(r, sort_keys=True, ensure_ascii=False) + "\n" for r in rows).encode())
        f.flush()
        os.fsync(f.fileno())


def short_id(*parts: object) -> str:
    """A key for a region: 16 hex of sha256 over what identifies it."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def events_of(labels: Iterable[Label], clip: Clip, kinds: Sequence[str] = ("nfbl",)) -> list[Placed]:
    """The events a clip holds at least half of, cut to the clip, in order of time."""
    grid, placed = clip.grid, []
    for label in labels:
        if label.kind not in kinds or label.source != clip.source:
            continue
        if 2 * _overlap(label, clip) < label.end_ms - label.start_ms or _overlap(label, clip) <= 0:
            continue
        start = min(max(grid.frame_at(label.start_ms) - clip.first_frame, 0), clip.num_frames - 1)
        end = max(min(grid.frame_at(label.end_ms) - clip.first_frame, clip.num_frames), start + 1)
        placed.append(Placed(label, start, end, label.start_ms < clip.start_ms or label.end_ms > clip.end_ms))
    return sorted(placed, key=lambda p: (p.start_frame, p.end_frame, str(p.label.value), p.label.annotator))


def fits(label: Label, clip: Clip) -> bool:
    """Whether a label about a whole stretch is about this clip: temporal IoU of at least 0.9."""
    both = _overlap(label, clip)
    either = (label.end_ms - label.start_ms) + (clip.end_ms - clip.start_ms) - both
    return label.source == clip.source and both > 0 and both >= FITS * either


def whole_clip(labels: Iterable[Label], clip: Clip) -> list[Label]:
    """The clip-level labels (emotion, clues, choices) that are about this clip."""
    return [lb for lb in labels if lb.kind not in TIMED and fits(lb, clip)]


def watchers(labels: Iterable[Label], clip: Clip) -> set[str]:
    """The annotators who looked at the whole clip for body language: a seen span may cover several clips."""
    return {
        lb.annotator
        for lb in labels
        if lb.kind == "seen" and lb.value == "nfbl" and lb.source == clip.source
        and _overlap(lb, clip) >= FITS * (clip.end_ms - clip.start_ms)
    }  # fmt: skip


def stale(labels: Iterable[Label], clips: Sequence[Clip]) -> list[Label]:
    """Labels that no clip takes: events too far outside, clip-level labels whose stretch is no clip any more."""
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source, []).append(clip)
    left = []
    for label in labels:
        near = by_source.get(label.source, [])
        if label.kind == "seen":
            continue
        if label.kind in TIMED:
            taken = any(events_of([label], clip, TIMED) for clip in near)
        else:
            taken = any(fits(label, clip) for clip in near)
        if not taken:
            left.append(label)
    return left


TIMED = ("nfbl", "proposal", "sound")


def _overlap(label: Label, clip: Clip) -> int:
    return min(label.end_ms, clip.end_ms) - max(label.start_ms, clip.start_ms)
