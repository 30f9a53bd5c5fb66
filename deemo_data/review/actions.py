"""What the review page can ask for and do, as JSON values: clips and what the leak check saw, boxes, withholding, `deemo run`."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from deemo_data import pseudonyms
from deemo_data.clip import Clip, Facts
from deemo_data.errors import DeemoError, LabelError, NotReleasable
from deemo_data.pipeline import store
from deemo_data.pipeline.run import Watcher
from deemo_data.pipeline.stage import table_name
from deemo_data.project import corrections, release
from deemo_data.project.clips import read_known_clips
from deemo_data.project.project import Project
from deemo_data.workflow import run

BATCH = 10  # frames of the footage that are decoded at once: people step on


@dataclass
class Rerun:
    """`deemo run` in the background, one at a time. `said` is what the page is told of it."""

    root: Path
    said: Facts = field(default_factory=lambda: {"running": False, "finished": 0})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> Facts:
        with self.lock:
            if not self.said["running"]:
                self.said = {"running": True, "finished": self.said["finished"], "stage": "", "done": 0, "of": 0}
                threading.Thread(target=self._work, daemon=True).start()
        return self.said

    def _work(self) -> None:
        end: Facts = {"error": "it broke off; the terminal says why", "out": 0, "missing": []}
        try:
            done, missing = run.run(Project.open(self.root), workers=1, watcher=Watcher(self._stage, self._clip))
            end = {"error": "", "out": len(done), "missing": [str(m) for m in missing]}
        except (DeemoError, OSError) as e:
            end["error"] = str(e)
        finally:
            with self.lock:
                self.said = {"running": False, "finished": self.said["finished"] + 1, **end}

    def _stage(self, name: str, clips: int, done: int) -> None:
        more = self.said["done"] < self.said["of"]  # another stage is at work, beside which this one begins
        stage = f"{self.said['stage']}, {table_name(name)}" if more else table_name(name)
        before = (self.said["done"], self.said["of"]) if more else (0, 0)
        self.said = {**self.said, "stage": stage, "done": before[0] + done, "of": before[1] + clips}

    def _clip(self, name: str) -> None:
        self.said = {**self.said, "done": self.said["done"] + 1}


@dataclass
class Desk:
    """What the page asks for and does, over one project. Everything is read anew: `deemo run` may be at work beside it."""

    root: Path
    rerun: Rerun

    def clip(self, clip_id: str) -> Clip | None:
        return next((c for c in read_known_clips(Project.open(self.root)) if c.id == clip_id), None)

    def overview(self) -> Facts:
        """All clips, in a line each, and how the run is going."""
        project = Project.open(self.root)
        clips, held, boxes = read_known_clips(project), corrections.withheld(self.root), corrections.boxes(self.root)
        waiting = self._waiting(project, clips)
        lines = []
        for clip in clips:
            line = self._line(project, clip, held, waiting)
            lines.append(line | {"boxes": sum(bool(corrections.touched_by(b, [clip])) for b in boxes)})
        return {"project": project.root.name, "clips": lines, "run": self.rerun.said}

    def look(self, clip: Clip) -> Facts:
        """One clip, with its hits and boxes: times as frames of the clip, places as shares of the picture."""
        project, grid = Project.open(self.root), clip.grid
        held = corrections.withheld(self.root)

        def frames(one: corrections.Box | corrections.Held) -> Facts:
            first, end = (grid.frame_at(ms) - clip.first_frame for ms in (one.start_ms, one.end_ms))
            return {"start_frame": max(0, first), "end_frame": min(clip.num_frames, end), "at": one.at, "id": one.id}

        boxes = [b for b in corrections.boxes(self.root) if corrections.touched_by(b, [clip])]
        return self._line(project, clip, held, self._waiting(project, [clip])) | {
            "hits": hits_of(clip),
            "boxes": [frames(b) | {"box": b.box} for b in boxes],
            "withheld": [frames(h) for h in held if corrections.touched_by(h, [clip])],
        }

    def add_box(self, said: Facts) -> Facts:
        """Write a box down, and take back at once every clip it is about. `replaces`: the box it stands for, which then goes."""
        clip = self._meant(said)
        start, end = said.get("start_frame"), said.get("end_frame")
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= clip.num_frames:
            raise LabelError(f"frames {start!r}-{end!r} are not in the clip", f"It has frames 0 to {clip.num_frames - 1}")
        span = [clip.grid.ms_at(clip.first_frame + k) for k in (start, end)]
        project = Project.open(self.root)
        with project.locked():
            self._meant(said)  # once more: its subject may have withdrawn
            made = corrections.add(self.root, clip.source, span[0], span[1], said.get("box") or ())
            revoked = self._take_back(project, made)
            if said.get("replaces"):
                corrections.remove(self.root, str(said["replaces"]))
        return {"id": made.id, "revoked": revoked}

    def remove_box(self, box_id: str) -> Facts:
        """What it covered shows again only once the clip is made anew and has passed the leak check."""
        with Project.open(self.root).locked():
            return {"id": corrections.remove(self.root, box_id).id}

    def withhold(self, said: Facts) -> Facts:
        project = Project.open(self.root)
        with project.locked():
            clip = self._meant(said)
            made = corrections.withhold(self.root, clip)
            return {"id": made.id, "revoked": self._take_back(project, made)}

    def allow(self, held_id: str) -> Facts:
        with Project.open(self.root).locked():
            return {"id": corrections.allow(self.root, held_id).id}

    def _meant(self, said: Facts) -> Clip:
        clip = self.clip(str(said.get("clip")))
        if clip is None:
            raise LabelError(f"there is no clip {said.get('clip')!r}", "Load the page again: the clips may have been cut anew")
        return clip

    def _take_back(self, project: Project, one: corrections.Box | corrections.Held) -> list[str]:
        """Out of out/ with all that the correction is about; the clips that were there, by their names outside."""
        gone = corrections.touched_by(one, read_known_clips(project))
        outside = [pseudonyms.public_id(project.secret, "c", c.id) for c in gone]
        there = [name for name in outside if is_out(project, name)]
        release.take_back([], project, gone=gone)
        return there

    def _waiting(self, project: Project, clips: list[Clip]) -> set[str]:
        """Of corrected clips those for which `deemo run` would make another video than they have now."""
        touched = corrections.sources_touched(self.root)
        clips = [c for c in clips if c.source in touched]
        done, failed = run.run_attempts(project, clips, set())
        now = done | {i: f.clip for i, f in failed.items()}
        return {c.id for c in clips if now[c.id].files.get("safe") != c.files.get("safe")}

    def _line(self, project: Project, clip: Clip, held: list[corrections.Held], waiting: set[str]) -> Facts:
        grid, outside = clip.grid, pseudonyms.public_id(project.secret, "c", clip.id)
        state, why = self._state(project, clip, held, outside)
        if state == "ready" and clip.id in waiting:
            state, why = "waiting", "it was corrected: run again"
        return {
            "id": clip.id, "outside": outside, "name": clip.path("source").name, "state": state, "why": why,
            "waiting": clip.id in waiting, "start_ms": clip.start_ms, "end_ms": clip.end_ms, "frames": clip.num_frames,
            "fps": [grid.fps.numerator, grid.fps.denominator], "width": grid.width, "height": grid.height,
            "video": shown(clip) is not None,
        }  # fmt: skip

    def _state(self, project: Project, clip: Clip, held: list[corrections.Held], outside: str) -> tuple[str, str]:
        if any(corrections.touched_by(h, [clip]) for h in held):
            return "withheld", "you said that it may not leave"
        if shown(clip) is None or "leaks_passed" not in clip.facts:
            return "unfinished", f"it is not made yet: deemo run {project.root.name}"
        if clip.facts["leaks_passed"] is False:
            return "refused", release.leaks_of(clip)
        try:
            release.may_go(clip, project)
        except NotReleasable as e:
            return "kept", e.what.removeprefix(f"clip {clip.id}").lstrip(": ")
        return ("released", "") if is_out(project, outside) else ("ready", "it goes out with the next push or export")


def is_out(project: Project, outside: str) -> bool:
    """Whether a clip of that public name lies in out/, released or in the dataset."""
    return (project.released / f"{outside}.mp4").exists() or any(project.dataset.glob(f"*/clips/{outside}.mp4"))


def shown(clip: Clip) -> Path | None:
    """The video that the page plays: what would be released, else the masked picture without sound."""
    return next((clip.path(n) for n in ("safe", "masked") if n in clip.files and clip.path(n).is_file()), None)


def hits_of(clip: Clip) -> list[Facts]:
    """What the leak check saw: [{"frame", "box" (shares), "score", "leaks"}, ...]."""
    if "leaks" not in clip.files or not clip.path("leaks").is_file():
        return []
    size = [clip.grid.width, clip.grid.height] * 2
    return [
        {
            "frame": h["frame"],
            "box": [v / s for v, s in zip(h["box"], size, strict=True)],
            "score": h["score"],
            "leaks": h["leaks"],
        }
        for h in json.loads(clip.path("leaks").read_text())["hits"]
    ]


def original(clip: Clip, frame: int) -> bytes:
    """Frame `frame` of a clip as it is in the footage, a JPEG. For the owner's eyes."""
    store.check_source(clip)
    first = frame // BATCH * BATCH
    span = [clip.grid.ms_at(clip.first_frame + k) for k in (first, min(first + BATCH, clip.num_frames))]
    part = replace(clip.only(("source", "grid")), start_ms=span[0], end_ms=span[1])
    return _stills(json.dumps(part.to_row()))[frame - first]


@lru_cache(maxsize=8)
def _stills(row: str) -> list[bytes]:
    import cv2

    from deemo_data.media.frames import read_frames

    return [
        cv2.imencode(".jpg", f.bgr(), [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
        for f in read_frames(Clip.of_row(json.loads(row)))
    ]
