"""Look for faces in what would be shown, with networks that did not make the mask."""

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


ASK_AGAIN = 5  # frames for which the mesh network's firm no to a place holds
Hit = dict[str, Any]  # box, score, on_face, presence (null where it was not asked for), leaks


@dataclass(frozen=True)
class CheckLeaks:
    """Makes `leaks`: every hit in every frame; tells whether the clip passed, and a summary without places.

    Two looks at the whole picture by full-range BlazeFace, at two scales: for large faces, and for those from 36 pixels
    of a 720p frame on. A strong hit where the original had a face counts as it is, be it on a mask, on a hand shown over
    it or on the face that shows between its fingers: half a face is still seen by the detector. Elsewhere a detector
    alone is not enough (it takes hands for faces), so a hit counts when the face mesh network is sure of it, in three
    framings. That network is asked about the same place again after five frames.
    """

    detector: Literal["blazeface-full-2c3728"] = "blazeface-full-2c3728"
    confirm: Literal["facemesh-1055cb"] = "facemesh-1055cb"
    longest: Annotated[int, Field(ge=128, le=4096)] = 256  # px of the longer side that the detector is shown
    small_longest: Annotated[int, Field(ge=128, le=4096)] = 512  # and once more, for small faces
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5  # a detector's score from which on a hit is written down
    strong: Annotated[float, Field(gt=0, le=1)] = 0.7  # and from which on it counts where the original had a face
    sure: Annotated[float, Field(gt=0, le=1)] = 0.5  # the mesh network's presence from which on a hit counts elsewhere

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("safe", "faces", "grid")
    makes: ClassVar[dict[str, str]] = {"leaks": "leaks.json"}
    tells: ClassVar[tuple[str, ...]] = ("leaks_passed", "leaks_summary")

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks import faces

        boxes = faces.boxes_by_frame(faces.read_faces(clip.path("faces")))
        looked_at = 0
        hits: list[dict[str, Any]] = []
        for index, found in self._look(clip, boxes):
            looked_at += 1
            hits += [{"frame": index, **hit} for hit in found]
        if looked_at != clip.num_frames:
            raise StageError(f"clip {clip.id}: the leak check saw {looked_at} of {clip.num_frames} frames")
        frames = sorted({h["frame"] for h in hits if h["leaks"]})
        said = {"looked_at": looked_at, "frames": frames, "hits": hits}
        (out / self.makes["leaks"]).write_text(json.dumps(said, sort_keys=True))
        summary = {
            "passed": not frames,
            "frames_looked_at": looked_at,
            "frames_with_a_face": len(frames),
            "hits_not_confirmed": sum(not h["leaks"] for h in hits),
            "by": [self.detector, self.confirm],
        }
        return {"leaks_passed": not frames, "leaks_summary": summary}

    def _look(self, clip: Clip, boxes: dict[int, NDArray[np.float32]]) -> Iterator[tuple[int, list[Hit]]]:
        """(frame, hits) for every frame, two at work at a time."""
        import numpy as np

        from deemo_data.media.frames import behind
        from deemo_data.models.faces import blazeface, facemesh

        net, mesh = blazeface.load(self.detector), facemesh.load(self.confirm)
        asked: deque[tuple[int, NDArray[np.float32], float]] = deque(maxlen=64)  # frame, box, presence of late

        def look(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.concatenate(
                [blazeface.detect_one_range(net, rgb, self.threshold, n) for n in (self.longest, self.small_longest)]
            )

        def presence(index: int, rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
            for frame, other, sure in asked:  # clutter that stands still is asked about once in a while
                if index - frame < ASK_AGAIN and linking.overlap(box, other) > 0.7:
                    return sure
            sure = float(facemesh.presence(mesh, rgb, box[None])[0])
            if sure < facemesh.HOPELESS:
                asked.append((index, box, sure))
            return sure

        def judge(index: int, rgb: NDArray[np.uint8], found: NDArray[np.float32]) -> tuple[int, list[Hit]]:
            hits: list[Hit] = []
            for box in found:
                on_face = any(inside(box, face) for face in boxes.get(index, ()))
                sure = None if on_face else presence(index, rgb, box)
                leaks = bool(box[4] >= self.strong) if sure is None else sure >= self.sure
                corners = [round(float(v), 1) for v in box[:4]]
                hits.append({"box": corners, "score": round(float(box[4]), 3), "on_face": on_face,
                             "presence": None if sure is None else round(sure, 3), "leaks": leaks})  # fmt: skip
            return index, hits

        with ThreadPoolExecutor(2) as threads:
            begun = ((index, rgb, threads.submit(look, rgb)) for index, rgb in pictures(clip))
            for index, rgb, found in behind(begun):
                yield judge(index, rgb, found.result())


def pictures(clip: Clip) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(frame, rgb) of what would be shown: `safe`, read like any other footage."""
    from deemo_data.media.frames import read_frames

    grid = clip.grid
    shown = Grid(grid.fps, False, Fraction(0), clip.num_frames, grid.width, grid.height)
    safe = clip.files["safe"]
    as_source = Clip(clip.id, clip.source, 0, shown.ms_at(clip.num_frames), {"source": File(safe.path, safe.sha256)}, {})
    for frame in read_frames(as_source.knowing({}, {"grid": shown.to_fact()})):
        yield frame.index, frame.rgb()


def inside(box: NDArray[np.float32], track: NDArray[np.float32]) -> bool:
    """Whether the middle of a hit lies in a box of the original's face track."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return bool(track[0] <= x <= track[2] and track[1] <= y <= track[3])
