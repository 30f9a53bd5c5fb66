"""CheckLeaks: looks for faces in the assembled clip, with networks that did not make the mask.

In:  the assembled clip and the face boxes of the original. Out: a list of hits, and whether the clip passed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
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


CLOSER_WIDTH_PX = 18  # at which the narrowest face is shown in a closer look
WIDEST_FACES = 6  # times as wide as the narrowest: the widest face that is sure to lie whole in one tile
MIN_MESH_PX = 40  # width of a hit from which the face mesh has to agree
RIM_GROW, RIM_WIDTH = 1.6, 0.6  # times the face box: how far its mask may reach; hits at its rim that are narrower are hands
CONFIRM_PX, CONFIRM_FACE_PX = 160, 40  # side of the enlarged window, and of the face in it
RECHECK_FRAMES = 5  # the mesh network's clear "no face" for a place is valid for this many frames
Hit = dict[str, Any]  # box, score, on_face, presence (null if no second network was run), leaks


@dataclass(frozen=True)
class CheckLeaks:
    """Makes `leaks`, every hit in every frame; tells whether the clip passed, and a summary without positions.

    Full-range BlazeFace runs over the whole picture at two scales: for large faces, and for faces from 36 pixels of a 720p frame
    on. Where the original had a face, a strong hit counts as a leak at once: on a mask, on a hand shown over the face, or on the
    face between the fingers (the detector still finds half a face). Elsewhere the detector alone is not enough, because it takes
    hands for faces: there a hit counts if the face mesh network confirms it, in three framings. The result of that network for
    a place is used again for five frames.

    Every `closer_every`-th frame, and the last, is also looked at as closely as FindFaces looks: short-range BlazeFace runs over
    tiles in which the narrowest face that counts is 18 pixels wide. Where nothing was masked, a hit counts if CenterFace finds a
    face in an enlarged window around it, and, from 40 pixels on, the face mesh too, which does not know smaller faces. Small hits
    at the rim of a large mask do not count: they are hands drawn over it.
    """

    detector: Literal["blazeface-full-2c3728"] = "blazeface-full-2c3728"
    confirm: Literal["facemesh-1055cb"] = "facemesh-1055cb"
    longest: Annotated[int, Field(ge=128, le=4096)] = 256  # px of the longer side of the detector's input
    small_longest: Annotated[int, Field(ge=128, le=4096)] = 512  # and in a second pass, for small faces
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5  # detector's score from which a hit is recorded
    strong: Annotated[float, Field(gt=0, le=1)] = 0.7  # and from which it counts where the original had a face
    sure: Annotated[float, Field(gt=0, le=1)] = 0.5  # mesh network's presence from which a hit counts elsewhere

    narrowest: Annotated[int, Field(ge=0, le=200)] = 18  # px: closer looks find faces from this width on; 0: no closer look
    closer_detector: Literal["blazeface-short-bbff11"] = "blazeface-short-bbff11"
    closer_confirm: Literal["centerface-09189d"] = "centerface-09189d"
    closer_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.45  # closer detector's score from which a hit is recorded
    closer_sure: Annotated[float, Field(gt=0, le=1)] = 0.3  # and CenterFace's score from which it counts
    closer_every: Annotated[int, Field(ge=1, le=60)] = 25

    version: ClassVar[int] = 4
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
            "by": [self.detector, self.confirm, *([self.closer_detector, self.closer_confirm] if self.narrowest else [])],
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

        look_closer = self._closer_look(clip, boxes) if self.narrowest else None
        with ThreadPoolExecutor(2) as threads, ThreadPoolExecutor(1) as thread:  # closer looks build on each other
            jobs = (
                (
                    index,
                    rgb,
                    threads.submit(detect, rgb),
                    thread.submit(look_closer, index, rgb) if look_closer and self._is_looked_at_closely(index, clip) else None,
                )
                for index, rgb in read_safe_frames(clip)
            )
            for index, rgb, detections, closer in run_ahead(jobs):
                _, hits = judge(index, rgb, detections.result())
                yield index, hits + (closer.result() if closer else [])

    def _is_looked_at_closely(self, index: int, clip: Clip) -> bool:
        """Every so many frames, and the last one."""
        return index % self.closer_every == self.closer_every // 2 or index == clip.num_frames - 1

    def _closer_look(self, clip: Clip, boxes: dict[int, NDArray[np.float32]]) -> Callable[[int, NDArray[np.uint8]], list[Hit]]:
        """A function from a frame (index, rgb) to the hits of a closer look, where nothing was masked."""
        import cv2
        import numpy as np

        from deemo_data.models.faces import blazeface, centerface, facemesh, tiles

        net, confirm, mesh = (
            blazeface.load(self.closer_detector),
            centerface.load(self.closer_confirm),
            facemesh.load(self.confirm),
        )
        grid = clip.grid
        longer_side = round(max(grid.width, grid.height) * CLOSER_WIDTH_PX / self.narrowest)
        width, height = centerface.choose_input_size(grid.width, grid.height, longer_side)
        scale = np.array([grid.width / width, grid.height / height] * 2 + [1], np.float32)
        widest = WIDEST_FACES * CLOSER_WIDTH_PX

        def detect(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            return blazeface.detect_at_size(net, rgb, self.closer_threshold, max(rgb.shape[:2]))

        memory = tiles.TileMemory(width, height, detect, widest)

        def look(index: int, rgb: NDArray[np.uint8]) -> list[Hit]:
            picture = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
            hits: list[Hit] = []
            for box in memory.look(np.asarray(picture, np.uint8), tiles.make_preview(np.asarray(picture, np.uint8))) * scale:
                if not any(is_on_face(box, face) or is_beside_larger_face(box, face) for face in boxes.get(index, ())):
                    score = confirm_small_face(confirm, rgb, box)
                    sure = score >= self.closer_sure
                    if sure and box[2] - box[0] >= MIN_MESH_PX:  # the mesh knows faces of this size from hands
                        sure = bool(facemesh.estimate_presence(mesh, rgb, box[None])[0] >= self.sure)
                    corners = [round(float(v), 1) for v in box[:4]]
                    hits.append({"box": corners, "score": round(float(box[4]), 3), "on_face": False,
                                 "presence": round(score, 3), "leaks": sure})  # fmt: skip
            return hits

        return look


def confirm_small_face(net: Any, rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
    """The best score of CenterFace for a face where `box` (x0, y0, x1, y1) is, in a window enlarged around it; 0 if none."""
    from deemo_data.models.faces import centerface
    from deemo_data.models.runtime.boxes import crop_square

    side = max(round(float(max(box[2] - box[0], box[3] - box[1])) * CONFIRM_PX / CONFIRM_FACE_PX), 1)
    left, top = (round(float(box[a] + box[a + 2] - side) / 2) for a in (0, 1))
    found = centerface.detect(net, crop_square(rgb, left, top, side, CONFIRM_PX)[:, :, ::-1], 0.05)
    middle = CONFIRM_PX / 2
    there = [b for b in found if b[0] <= middle <= b[2] and b[1] <= middle <= b[3] and b[2] - b[0] < 2 * CONFIRM_FACE_PX]
    return max((float(b[4]) for b in there), default=0.0)


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


def is_beside_larger_face(box: NDArray[np.float32], face: NDArray[np.float32]) -> bool:
    """Whether the middle of a hit lies at the rim of a masked face that is much wider than the hit."""
    import numpy as np

    room = (face[2:4] - face[:2]) * (RIM_GROW - 1) / 2
    grown = np.concatenate([face[:2] - room, face[2:4] + room])
    return is_on_face(box, grown) and bool(box[2] - box[0] < RIM_WIDTH * (face[2] - face[0]))
