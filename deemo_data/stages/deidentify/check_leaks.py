"""CheckLeaks: looks for faces in the assembled clip, with networks that did not make the mask.

In:  the assembled clip and the face boxes of the original. Out: a list of hits, and whether the clip passed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts, Grid
from deemo_data.errors import StageError
from deemo_data.files import File
from deemo_data.tracks import linking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RECHECK_FRAMES = 5  # the mesh network's clear "no face" for a place is valid for this many frames
Hit = dict[str, Any]  # box, score, on_face, presence (null if the mesh network was not run), leaks


@dataclass(frozen=True)
class CheckLeaks:
    """Makes `leaks`, every hit in every frame; tells whether the clip passed, and a summary without positions.

    Full-range BlazeFace runs over the whole picture at two scales: for large faces, and for faces from 36 pixels of a 720p frame
    on. Where the original had a face, a strong hit counts as a leak at once: on a mask, on a hand shown over the face, or on the
    face between the fingers (the detector still finds half a face). Elsewhere the detector alone is not enough, because it takes
    hands for faces: there a hit counts if the face mesh network confirms it, in three framings. The result of that network for
    a place is used again for five frames.
    """

    detector: Literal["blazeface-full-2c3728"] = "blazeface-full-2c3728"
    confirm: Literal["facemesh-1055cb"] = "facemesh-1055cb"
    longest: Annotated[int, Field(ge=128, le=4096)] = 256  # px of the longer side of the detector's input
    small_longest: Annotated[int, Field(ge=128, le=4096)] = 512  # and in a second pass, for small faces
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5  # detector's score from which a hit is recorded
    strong: Annotated[float, Field(gt=0, le=1)] = 0.7  # and from which it counts where the original had a face
    sure: Annotated[float, Field(gt=0, le=1)] = 0.5  # mesh network's presence from which a hit counts elsewhere

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("safe", "faces", "grid")
    makes: ClassVar[dict[str, str]] = {"leaks": "leaks.json"}
    tells: ClassVar[tuple[str, ...]] = ("leaks_passed", "leaks_summary")

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks import faces

        boxes = faces.boxes_by_frame(faces.read_faces(clip.path("faces")))
        num_checked = 0
        hits: list[dict[str, Any]] = []
        for index, frame_hits in self._detect_faces(clip, boxes):
            num_checked += 1
            hits += [{"frame": index, **hit} for hit in frame_hits]
        if num_checked != clip.num_frames:
            raise StageError(f"clip {clip.id}: the leak check saw {num_checked} of {clip.num_frames} frames")
        frames = sorted({h["frame"] for h in hits if h["leaks"]})
        report = {"looked_at": num_checked, "frames": frames, "hits": hits}
        (out / self.makes["leaks"]).write_text(json.dumps(report, sort_keys=True))
        summary = {
            "passed": not frames,
            "frames_looked_at": num_checked,
            "frames_with_a_face": len(frames),
            "hits_not_confirmed": sum(not h["leaks"] for h in hits),
            "by": [self.detector, self.confirm],
        }
        return {"leaks_passed": not frames, "leaks_summary": summary}

    def _detect_faces(self, clip: Clip, boxes: dict[int, NDArray[np.float32]]) -> Iterator[tuple[int, list[Hit]]]:
        """(frame, hits) for every frame; two frames are processed at a time."""
        import numpy as np

        from deemo_data.media.lookahead import run_ahead
        from deemo_data.models.faces import blazeface, facemesh

        net, mesh = blazeface.load(self.detector), facemesh.load(self.confirm)
        recent: deque[tuple[int, NDArray[np.float32], float]] = deque(maxlen=64)  # frame, box, presence

        def detect(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.concatenate(
                [blazeface.detect_at_size(net, rgb, self.threshold, n) for n in (self.longest, self.small_longest)]
            )

        def estimate_presence(index: int, rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
            for frame, other, presence in recent:  # a static background object is checked only now and then
                if index - frame < RECHECK_FRAMES and linking.box_iou(box, other) > 0.7:
                    return presence
            presence = float(facemesh.estimate_presence(mesh, rgb, box[None])[0])
            if presence < facemesh.MIN_PRESENCE:
                recent.append((index, box, presence))
            return presence

        def judge(index: int, rgb: NDArray[np.uint8], detections: NDArray[np.float32]) -> tuple[int, list[Hit]]:
            hits: list[Hit] = []
            for box in detections:
                on_face = any(is_on_face(box, face) for face in boxes.get(index, ()))
                presence = None if on_face else estimate_presence(index, rgb, box)
                leaks = bool(box[4] >= self.strong) if presence is None else presence >= self.sure
                corners = [round(float(v), 1) for v in box[:4]]
                hits.append({"box": corners, "score": round(float(box[4]), 3), "on_face": on_face,
                             "presence": None if presence is None else round(presence, 3), "leaks": leaks})  # fmt: skip
            return index, hits

        with ThreadPoolExecutor(2) as threads:
            jobs = ((index, rgb, threads.submit(detect, rgb)) for index, rgb in read_safe_frames(clip))
            for index, rgb, detections in run_ahead(jobs):
                yield judge(index, rgb, detections.result())


def read_safe_frames(clip: Clip) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(frame, rgb) of the assembled clip `safe`, decoded like any other footage."""
    from deemo_data.media.frames import read_frames

    grid = clip.grid
    safe_grid = Grid(grid.fps, False, Fraction(0), clip.num_frames, grid.width, grid.height)
    safe = clip.files["safe"]
    as_source = Clip(clip.id, clip.source, 0, safe_grid.ms_at(clip.num_frames), {"source": File(safe.path, safe.sha256)}, {})
    for frame in read_frames(as_source.with_results({}, {"grid": safe_grid.to_fact()})):
        yield frame.index, frame.rgb()


def is_on_face(box: NDArray[np.float32], face: NDArray[np.float32]) -> bool:
    """Whether the middle of a hit lies in a face box of the original."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return bool(face[0] <= x <= face[2] and face[1] <= y <= face[3])
