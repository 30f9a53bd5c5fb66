"""The actions of the review page, with JSON values in and out.

The page lists clips with the hits of the leak check, adds and removes boxes, withholds and allows spans, and starts
`deemo run`. server.py calls these actions for HTTP requests. Places in a picture are shares of its width and height, times are
frames of the clip.
"""

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
from deemo_data.project.clips import read_clips_if_any
from deemo_data.project.project import Project
from deemo_data.workflow import run

FRAMES_PER_BATCH = 10  # frames of the footage decoded together: the next request is usually for the next frame


@dataclass
class BackgroundRun:
    """`deemo run` in a background thread, one at a time.

    status  what the page shows: {"running", "finished"}, while it runs also {"stage", "done", "of"}, and after it
            {"error", "out", "missing"}
    """

    root: Path
    status: Facts = field(default_factory=lambda: {"running": False, "finished": 0})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> Facts:
        """Start a run unless one is running. Returns the status."""
        with self.lock:
            if not self.status["running"]:
                self.status = {"running": True, "finished": self.status["finished"], "stage": "", "done": 0, "of": 0}
                threading.Thread(target=self._run, daemon=True).start()
        return self.status

    def _run(self) -> None:
        end: Facts = {"error": "it broke off; the terminal says why", "out": 0, "missing": []}
        try:
            done, missing = run.run_project(Project.open(self.root), workers=1, watcher=Watcher(self._on_stage, self._on_clip))
            end = {"error": "", "out": len(done), "missing": [str(m) for m in missing]}
        except (DeemoError, OSError) as e:
            end["error"] = str(e)
        finally:
            with self.lock:
                self.status = {"running": False, "finished": self.status["finished"] + 1, **end}

    def _on_stage(self, name: str, clips: int, done: int) -> None:
        """A stage begins: `clips` to do, `done` of them before."""
        beside = self.status["done"] < self.status["of"]  # another stage is still at work when this one begins
        stage = f"{self.status['stage']}, {table_name(name)}" if beside else table_name(name)
        before = (self.status["done"], self.status["of"]) if beside else (0, 0)
        self.status = {**self.status, "stage": stage, "done": before[0] + done, "of": before[1] + clips}

    def _on_clip(self, name: str) -> None:
        """A stage has finished one clip."""
        self.status = {**self.status, "done": self.status["done"] + 1}


@dataclass
class ReviewActions:
    """The actions of the page on one project. Each reads the project from disk, because `deemo run` may change it meanwhile."""

    root: Path
    rerun: BackgroundRun

    def find_clip(self, clip_id: str) -> Clip | None:
        """The clip with this id of ours, or None."""
        return next((c for c in read_clips_if_any(Project.open(self.root)) if c.id == clip_id), None)

    def list_clips(self) -> Facts:
        """All clips, one line each, and the status of the run."""
        project = Project.open(self.root)
        clips, withheld, boxes = (
            read_clips_if_any(project),
            corrections.read_withheld_spans(self.root),
            corrections.read_boxes(self.root),
        )
        waiting = self._find_waiting(project, clips)
        lines = []
        for clip in clips:
            line = self._line_of(project, clip, withheld, waiting)
            lines.append(line | {"boxes": sum(bool(corrections.clips_under_correction(b, [clip])) for b in boxes)})
        return {"project": project.root.name, "clips": lines, "run": self.rerun.status}

    def describe_clip(self, clip: Clip) -> Facts:
        """One clip with its hits, its boxes and the spans that are withheld."""
        project, grid = Project.open(self.root), clip.grid
        withheld = corrections.read_withheld_spans(self.root)

        def frames_of(correction: corrections.Box | corrections.WithheldSpan) -> Facts:
            first, end = (grid.frame_at(ms) - clip.first_frame for ms in (correction.start_ms, correction.end_ms))
            return {
                "start_frame": max(0, first),
                "end_frame": min(clip.num_frames, end),
                "at": correction.at,
                "id": correction.id,
            }

        boxes = [b for b in corrections.read_boxes(self.root) if corrections.clips_under_correction(b, [clip])]
        return self._line_of(project, clip, withheld, self._find_waiting(project, [clip])) | {
            "hits": hits_of(clip),
            "boxes": [frames_of(b) | {"box": b.box} for b in boxes],
            "withheld": [frames_of(span) for span in withheld if corrections.clips_under_correction(span, [clip])],
        }

    def add_box(self, request: Facts) -> Facts:
        """Record a box, and take every clip that it covers out of out/ at once.

        request  {"clip", "start_frame", "end_frame", "box"}, and {"replaces"} with the id of a box that is then removed
        Raises LabelError for frames outside the clip.
        """
        clip = self._clip_of(request)
        start, end = request.get("start_frame"), request.get("end_frame")
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= clip.num_frames:
            raise LabelError(f"frames {start!r}-{end!r} are not in the clip", f"It has frames 0 to {clip.num_frames - 1}")
        span = [clip.grid.ms_at(clip.first_frame + k) for k in (start, end)]
        project = Project.open(self.root)
        with project.lock():
            self._clip_of(request)  # again, now with the lock: its subject may have withdrawn
            box = corrections.add_box(self.root, clip.source, span[0], span[1], request.get("box") or ())
            revoked = self._take_back(project, box)
            if request.get("replaces"):
                corrections.remove_box(self.root, str(request["replaces"]))
        return {"id": box.id, "revoked": revoked}

    def remove_box(self, box_id: str) -> Facts:
        """Remove a box. What it covered is visible again only after the clip is made again and has passed the leak check."""
        with Project.open(self.root).lock():
            return {"id": corrections.remove_box(self.root, box_id).id}

    def withhold_clip(self, request: Facts) -> Facts:
        """Withhold the clip of a request, and take it out of out/ at once."""
        project = Project.open(self.root)
        with project.lock():
            clip = self._clip_of(request)
            span = corrections.withhold_clip(self.root, clip)
            return {"id": span.id, "revoked": self._take_back(project, span)}

    def allow_span(self, span_id: str) -> Facts:
        """Stop withholding a span."""
        with Project.open(self.root).lock():
            return {"id": corrections.allow_span(self.root, span_id).id}

    def _clip_of(self, request: Facts) -> Clip:
        """The clip that a request names. Raises LabelError when it does not exist."""
        clip = self.find_clip(str(request.get("clip")))
        if clip is None:
            raise LabelError(f"there is no clip {request.get('clip')!r}", "Load the page again: the clips may have been cut anew")
        return clip

    def _take_back(self, project: Project, correction: corrections.Box | corrections.WithheldSpan) -> list[str]:
        """Take every clip under a correction out of out/. Returns the public ids of those that were there."""
        clips = corrections.clips_under_correction(correction, read_clips_if_any(project))
        public_ids = [pseudonyms.derive_public_id(project.secret, "c", c.id) for c in clips]
        published = [name for name in public_ids if is_published(project, name)]
        release.take_back_clips([], project, dropped=clips)
        return published

    def _find_waiting(self, project: Project, clips: list[Clip]) -> set[str]:
        """The ids of corrected clips whose current video does not contain the corrections yet."""
        corrected = corrections.sources_with_boxes(self.root)
        clips = [c for c in clips if c.source in corrected]
        done, failed = run.run_attempts(project, clips, set())
        now = done | {i: f.clip for i, f in failed.items()}
        return {c.id for c in clips if now[c.id].files.get("safe") != c.files.get("safe")}

    def _line_of(self, project: Project, clip: Clip, withheld: list[corrections.WithheldSpan], waiting: set[str]) -> Facts:
        """The line of a clip in the list: its state with the reason, its times and its picture."""
        grid, public_id = clip.grid, pseudonyms.derive_public_id(project.secret, "c", clip.id)
        state, why = self._state_of(project, clip, withheld, public_id)
        if state == "ready" and clip.id in waiting:
            state, why = "waiting", "it was corrected: run again"
        return {
            "id": clip.id, "outside": public_id, "name": clip.path("source").name, "state": state, "why": why,
            "waiting": clip.id in waiting, "start_ms": clip.start_ms, "end_ms": clip.end_ms, "frames": clip.num_frames,
            "fps": [grid.fps.numerator, grid.fps.denominator], "width": grid.width, "height": grid.height,
            "video": playable_video_of(clip) is not None,
        }  # fmt: skip

    def _state_of(
        self, project: Project, clip: Clip, withheld: list[corrections.WithheldSpan], public_id: str
    ) -> tuple[str, str]:
        """(state, reason): withheld, unfinished, refused, kept, released or ready."""
        if any(corrections.clips_under_correction(span, [clip]) for span in withheld):
            return "withheld", "you said that it may not leave"
        if playable_video_of(clip) is None or "leaks_passed" not in clip.facts:
            return "unfinished", f"it is not made yet: deemo run {project.root.name}"
        if clip.facts["leaks_passed"] is False:
            return "refused", release.describe_leaks(clip)
        try:
            release.check_releasable(clip, project)
        except NotReleasable as e:
            return "kept", e.what.removeprefix(f"clip {clip.id}").lstrip(": ")
        return ("released", "") if is_published(project, public_id) else ("ready", "it goes out with the next push or export")


def is_published(project: Project, public_id: str) -> bool:
    """Whether a clip lies in out/, among the released clips or in the dataset."""
    return (project.released_dir / f"{public_id}.mp4").exists() or any(project.dataset_dir.glob(f"*/clips/{public_id}.mp4"))


def playable_video_of(clip: Clip) -> Path | None:
    """The video that the page plays: the one to be released, otherwise the masked picture without sound; None without both."""
    return next((clip.path(n) for n in ("safe", "masked") if n in clip.files and clip.path(n).is_file()), None)


def hits_of(clip: Clip) -> list[Facts]:
    """The hits of the leak check: [{"frame", "box" (shares of the picture), "score", "leaks"}, ...]."""
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


def read_original_frame(clip: Clip, frame: int) -> bytes:
    """Frame `frame` of a clip as it is in the footage, as JPEG. Only the owner of the data may see it."""
    store.check_source_unchanged(clip)
    first = frame // FRAMES_PER_BATCH * FRAMES_PER_BATCH
    span = [clip.grid.ms_at(clip.first_frame + k) for k in (first, min(first + FRAMES_PER_BATCH, clip.num_frames))]
    part = replace(clip.restrict_to(("source", "grid")), start_ms=span[0], end_ms=span[1])
    return _encode_frames(json.dumps(part.to_row()))[frame - first]


@lru_cache(maxsize=8)
def _encode_frames(row: str) -> list[bytes]:
    """All frames of a clip as JPEG. `row` is the clip as JSON, so that the cache can compare it."""
    from deemo_data.media.encode import encode_jpeg
    from deemo_data.media.frames import read_frames

    return [encode_jpeg(f.bgr(), 92) for f in read_frames(Clip.of_row(json.loads(row)))]
