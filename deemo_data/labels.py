"""What people said about stretches of footage: an append-only store, the ledger of what was pushed, and the join to clips."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from deemo_data.clip import Clip, own_file, parsed, sync
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
    kind       "nfbl" (value: {"label", "certainty"}, and "adjudicated": true from an adjudicator), "emotion", "sentiment",
               "emotion_words" (value: list), "clue_video", "clue_audio", "clue_text", "reasoning", "choice", "rating", "text",
               "sound", "seen" (an annotation was handed in, also one that says that nothing happens; value: "nfbl",
               "adjudicated", or "clip" when it was about the whole clip)
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
    template    the page it was shown on
    proposals   what was proposed, {"id", "label", "start_frame", "end_frame", "score", "why"} each, id that of the region;
                None where the clip went out without proposals, so that their effect can be measured
    """

    clip: str
    source: str
    start_ms: int
    end_ms: int
    fps: str
    num_frames: int
    first_frame: int
    vocabulary: str
    template: str = "nfbl_timeline"
    proposals: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, clip: SafeClip, vocabulary: Nfbl, template: str, proposals: list[dict[str, Any]] | None) -> Pushed:
        return cls(
            clip.id, clip.source, clip.start_ms, clip.end_ms, str(clip.grid.fps), clip.num_frames, clip.first_frame,
            vocabulary.said, template, proposals,
        )  # fmt: skip


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


def record_pushed(folder: Path, lines: Iterable[Pushed]) -> None:
    """Note in the ledger what is about to be shown; what it knows already is not written again."""
    known = {_said(vars(p)) for p in read_ledger(folder)}
    append(folder / LEDGER, [vars(p) for p in lines if _said(vars(p)) not in known])


def read_ledger(folder: Path) -> list[Pushed]:
    """Everything ever pushed, oldest first."""
    lines = []
    for number, row in enumerate(whole_lines(folder / LEDGER), 1):
        try:
            line = Pushed(**row)
            times = (line.start_ms, line.end_ms, line.num_frames, line.first_frame)
            if not all(isinstance(x, str) for x in (line.clip, line.source, line.fps, line.template)) or Fraction(line.fps) <= 0:
                raise ValueError("a name or a rate is none")
            if not all(type(x) is int for x in times):
                raise ValueError("a time is no whole number")
        except (TypeError, ValueError, ZeroDivisionError) as e:
            raise LabelError(f"{LEDGER} line {number}: {e}", "Put the file back from your backup") from e
        lines.append(line)
    return lines


def in_force(folder: Path) -> list[Label]:
    """The labels of all files below labels/ that hold now: of each, the last line, unless that deletes it."""
    found: dict[str, Label] = {}
    for name, row in _all(folder):
        key = row.pop("key")
        if row.get("deleted"):
            found.pop(key, None)
            continue
        try:
            label = found[key] = Label(**row)
            if not (type(label.start_ms) is type(label.end_ms) is int and label.start_ms < label.end_ms):
                raise TypeError(f"{label.start_ms}-{label.end_ms} ms is no span")
            if not all(isinstance(x, str) for x in (label.clip, label.source, label.kind, label.annotator)):
                raise TypeError(f"label {key}: a name is no text")
        except TypeError as e:
            raise LabelError(f"{name}: {e}", "Was it written by another version of deemo?") from e
    return [label for _, label in sorted(found.items(), key=lambda kv: kv[0])]


@dataclass(frozen=True)
class Change:
    """What reading did to the labels in force, in numbers of them."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    same: int = 0

    def __add__(self, other: Change) -> Change:
        mine, theirs = astuple(self), astuple(other)
        return Change(*(m + t for m, t in zip(mine, theirs, strict=True)))


class Shelf:
    """What labels/ holds, as digests: enough to tell what is new, whatever its size.

    The first part of a key, before its "/", is one of their tasks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digests: dict[str, dict[str, str]] = {}
        for _, row in _all(folder):
            self._note(row)

    def keys(self, task: str) -> list[str]:
        """The labels in force that came from one of their tasks."""
        return sorted(self._digests.get(task, ()))

    def update(
        self,
        name: str,
        said: dict[str, Label],
        gone: Iterable[str] = (),
        told: Callable[[list[Label]], object] = lambda news: None,
    ) -> Change:
        """Write labels by key into labels/NAME.jsonl: new ones and changed ones as new lines, and a line for each that is gone.

        A key says which region of which annotation it is; the same said twice adds nothing.

        told  hears what is new or changed before it is written
        """
        rows: list[dict[str, Any]] = [{"key": key, **vars(label)} for key, label in said.items()]
        news = [(row, digest) for row in rows if (digest := _said(row)) != self._of(row["key"])]
        told([said[row["key"]] for row, _ in news])
        added = sum(not self._of(row["key"]) for row, _ in news)
        lost = [{"key": key, "deleted": True} for key in sorted(set(gone) - set(said)) if self._of(key)]
        append(self.folder / f"{name}.jsonl", [*(row for row, _ in news), *lost])
        for row, digest in news:
            self._note(row, digest)
        for row in lost:
            self._note(row)
        return Change(added, len(news) - added, len(lost), len(said) - len(news))

    def _of(self, key: str) -> str:
        return self._digests.get(key.split("/")[0], {}).get(key, "")

    def _note(self, row: dict[str, Any], digest: str = "") -> None:
        keys = self._digests.setdefault(row["key"].split("/")[0], {})
        if row.get("deleted"):
            keys.pop(row["key"], None)
        else:
            keys[row["key"]] = digest or _said(row)


def update(folder: Path, name: str, said: dict[str, Label], gone: Iterable[str] = ()) -> Change:
    """`Shelf.update`, once."""
    return Shelf(folder).update(name, said, gone)


def _all(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, row) of everything said, deletions too."""
    for path in sorted(folder.glob("*.jsonl")):
        if path.name != LEDGER:
            for row in whole_lines(path):
                if not isinstance(row.get("key"), str):
                    raise LabelError(f"{path.name}: a line has no key", "Put the file back from your backup")
                yield path.name, row


def _said(row: dict[str, Any]) -> str:
    """The digest of a row."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:32]


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file; one that a killed process left half written is none."""
    if not path.exists():
        return
    with open(path, "rb") as f:
        for number, line in enumerate(f, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = parsed(line)
                if not isinstance(row, dict):
                    raise ValueError("it is no JSON object")
                yield row
            except ValueError as e:
                advice = "Put the file back from your backup"
                raise LabelError(f"{path.name} line {number} cannot be read: {e}", advice) from e


def append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to a file of JSON lines, on disk when this returns; what others add at the same time is not mixed in."""
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", opener=own_file) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.truncate(_end_of_lines(f))  # half a line of a killed process
        f.write("".join(json.dumps(r, sort_keys=True, ensure_ascii=False) + "\n" for r in rows).encode(errors="backslashreplace"))
        f.flush()
        os.fsync(f.fileno())
    sync(path.parent)


def _end_of_lines(f: BinaryIO) -> int:
    """How many bytes of a file are whole lines, seen from its end."""
    size = f.seek(0, os.SEEK_END)
    while size > 0:
        start = max(0, size - 65536)
        f.seek(start)
        found = f.read(size - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def short_id(*parts: object) -> str:
    """A key for a region: 16 hex of sha256 over what identifies it."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def events_of(labels: Iterable[Label], clip: Clip, kinds: Sequence[str] = ("nfbl",)) -> list[Placed]:
    """The events a clip holds at least half of, cut to the clip, in order of time."""
    grid, first, frames, placed = clip.grid, clip.first_frame, clip.num_frames, []
    for label in labels:
        if label.kind not in kinds or label.source != clip.source:
            continue
        if 2 * _overlap(label, clip) < label.end_ms - label.start_ms or _overlap(label, clip) <= 0:
            continue
        start = min(max(grid.frame_at(label.start_ms) - first, 0), frames - 1)
        end = max(min(grid.frame_at(label.end_ms) - first, frames), start + 1)
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


def covers(label: Label, clip: Clip, seen: str) -> bool:
    """Whether it says that somebody looked (for `seen`) at the whole clip: a span that was looked at may cover several."""
    if label.kind != "seen" or label.value != seen or label.source != clip.source:
        return False
    return _overlap(label, clip) >= FITS * (clip.end_ms - clip.start_ms)


def watchers(labels: Iterable[Label], clip: Clip) -> set[str]:
    """The annotators of the first group who looked at the whole clip for body language."""
    return {lb.annotator for lb in labels if covers(lb, clip, "nfbl")}


def by_clip(labels: Iterable[Label], clips: Sequence[Clip]) -> dict[str, list[Label]]:
    """Public clip id -> the labels that touch the clip."""
    found: dict[str, list[Label]] = {clip.id: [] for clip in clips}
    of_source: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: c.start_ms):
        of_source.setdefault(clip.source, []).append(clip)
    starts = {source: [c.start_ms for c in here] for source, here in of_source.items()}
    longest = {source: max(c.end_ms - c.start_ms for c in here) for source, here in of_source.items()}
    for label in labels:
        if label.source not in of_source:
            continue
        first = bisect_right(starts[label.source], label.start_ms - longest[label.source])
        for clip in of_source[label.source][first : bisect_left(starts[label.source], label.end_ms)]:
            if clip.end_ms > label.start_ms:
                found[clip.id].append(label)
    return found


def latest(labels: Sequence[Label], clip: Clip) -> list[Label]:
    """Without what somebody handed in about the whole clip and handed in once more: the later counts."""
    handed: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for label in labels:
        if label.kind == "seen" and covers(label, clip, label.value):
            handed.setdefault((label.annotator, label.value), set()).add(_annotation(label))
    old = {(who, about, one) for (who, about), them in handed.items() for one in them - {max(them)}}
    return [lb for lb in labels if (lb.annotator, _about(lb), _annotation(lb)) not in old]


def said_at(label: Label) -> str:
    """When a label was last changed, as Label Studio says it; text that sorts."""
    return str(label.raw.get("annotation", {}).get("updated_at") or "")


def _annotation(label: Label) -> tuple[str, str]:
    """(when it was changed last, which it is)"""
    said = label.raw.get("annotation", {})
    return said_at(label), str(said.get("unique_id") or said.get("id") or "")


def _about(label: Label) -> str | None:
    if label.kind == "nfbl":
        return "adjudicated" if label.value.get("adjudicated") else "nfbl"
    return label.value if label.kind == "seen" else None


def stale(labels: Iterable[Label], clips: Sequence[Clip]) -> list[Label]:
    """Labels that no clip takes: events too far outside, clip-level labels whose stretch is no clip any more."""
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source, []).append(clip)
    left = []
    for label in labels:
        if label.kind == "seen":
            continue
        near = [clip for clip in by_source.get(label.source, ()) if _overlap(label, clip) > 0]
        if label.kind in TIMED:
            taken = any(events_of([label], clip, TIMED) for clip in near)
        else:
            taken = any(fits(label, clip) for clip in near)
        if not taken:
            left.append(label)
    return left


TIMED = ("nfbl", "sound")


def _overlap(label: Label, clip: Clip) -> int:
    return min(label.end_ms, clip.end_ms) - max(label.start_ms, clip.start_ms)
