"""FindFaces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks.linking import Row, Track, fill, link, overlap, refine_until_equal, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.tracks.body import Body


DOUBTED = 0.6  # a box of no higher score may be a hand
TRACE = 0.1  # the first detector's score from which on it has an inkling of a face
ALONE = 0.85  # the second detector's score from which on it needs nobody
Detect = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]  # a picture of the working size -> (n, 5) boxes, score


@dataclass(frozen=True)
class FindFaces:
    """Makes `faces` (tracks.FACE_COLUMNS).

    detect    |x    .    .    .    .|x    .    .    .    .|x         every `every`-th frame; each frame between two
    link      |o----------------------o--------------------o|        looks that differ; boxes of one face are linked,
    hold   <--|                                              |-->    the gaps interpolated, both ends held on
    """

    detector: Literal["centerface-09189d", "insightface"] = "centerface-09189d"
    model: str = ""  # insightface only: an .onnx file (its whole path)
    model_sha256: str = ""  # insightface only: the digest of that file
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.3
    longest: Annotated[int, Field(ge=128, le=4096)] = 640  # px of the longer side that the detector is shown
    second: Literal["blazeface-short-bbff11", "none"] = "blazeface-short-bbff11"  # adds the faces that only it sees
    second_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.7
    second_longest: Annotated[int, Field(ge=128, le=4096)] = 256
    every: Annotated[int, Field(ge=1, le=30)] = 5
    bridge_ms: Annotated[int, Field(ge=0)] = 2000  # a face gone for no longer is taken to have been there
    hold_ms: Annotated[int, Field(ge=0)] = 500  # how long a box is held before its first look and after its last
    pose: bool = True  # also cover the head end of the pose where no box does

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "body")
    makes: ClassVar[dict[str, str]] = {"faces": "faces.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks import faces
        from deemo_data.tracks.body import read_body

        looks, cuts = self._look(clip)
        fps = float(clip.grid.fps)
        body = read_body(clip.path("body"))
        found = link(looks, cuts, bridge=round(self.bridge_ms / 1000 * fps))
        found = [t for t in found if not only_hands(t, body, clip.grid.width, clip.grid.height)]
        rows = fill(found, clip.num_frames, hold=round(self.hold_ms / 1000 * fps), cuts=cuts)
        if self.pose:
            rows += head_boxes(body, clip.grid.width, clip.grid.height, rows)
        faces.write_faces(table(rows), out / self.makes["faces"])
        return {}

    def _detector(self, clip: Clip) -> tuple[Detect, int, int]:
        """Both detectors in one, and the size of picture that it wants to be shown."""
        from deemo_data.models.faces import centerface

        width, height = centerface.working_size(clip.grid.width, clip.grid.height, self.longest)
        if self.second == "none":
            return self._first(self.threshold), width, height
        first, second = self._first(min(TRACE, self.threshold)), self._second()
        return lambda bgr: merge_detectors(first(bgr), second(bgr), self.threshold), width, height

    def _first(self, threshold: float) -> Detect:
        match self.detector:
            case "centerface-09189d":
                from deemo_data.models.faces import centerface

                net = centerface.load(self.detector)
                return lambda bgr: centerface.detect(net, bgr, threshold)
            case "insightface":
                from deemo_data.models.faces import insightface

                model = insightface.load(self.model, self.model_sha256)
                return lambda bgr: insightface.detect(model, bgr, threshold)

    def _second(self) -> Detect:
        from deemo_data.models.faces import blazeface

        net = blazeface.load(self.second)
        return lambda bgr: face_boxes(
            blazeface.detect_one_range(net, bgr[:, :, ::-1], self.second_threshold, self.second_longest)
        )

    def _look(self, clip: Clip) -> tuple[dict[int, NDArray[np.float32]], list[int]]:
        """{frame looked at: (n, 5) boxes in source pixels}, and the frames at which a new shot begins."""
        import numpy as np

        from deemo_data.media import frames

        detect, width, height = self._detector(clip)
        scale = np.array([clip.grid.width / width, clip.grid.height / height] * 2 + [1], np.float32)
        looks: dict[int, Future[NDArray[np.float32]]] = {}
        cuts: list[int] = []
        since: list[frames.Frame] = []  # the last look, and what came after it
        unsettled: deque[list[frames.Frame]] = deque()  # from look to look
        changes: deque[float] = deque([255.0] * 4, maxlen=4)
        before: NDArray[np.int16] | None = None
        with ThreadPoolExecutor(2) as threads:

            def look(frame: frames.Frame) -> Future[NDArray[np.float32]]:
                if frame.index not in looks:
                    looks[frame.index] = threads.submit(detect, frame.bgr(width, height))
                return looks[frame.index]

            for frame in frames.read_frames(clip):
                glance = frame.bgr(32, 18).astype(np.int16)
                if before is not None:
                    changes.append(float(np.abs(glance - before).mean()))
                cut = changes[-1] > max(8, 4 * max(list(changes)[:-1]))  # a leap, and not just a shaking camera
                before = glance
                if cut:
                    cuts.append(frame.index)
                since.append(frame)
                if cut or len(since) > self.every or frame.index in (0, clip.num_frames - 1):
                    look(frame)
                    unsettled.append(since)
                    since = [frame]
                    if len(unsettled) > 2:  # decoding and looking stay a little ahead
                        refine_until_equal(unsettled.popleft(), look)
            for stretch in unsettled:
                refine_until_equal(stretch, look)
            return {f: looks[f].result() * scale for f in sorted(looks)}, cuts


def face_boxes(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """BlazeFace's squares from brow to chin as boxes of whole faces.

    Measured on 797 faces that CenterFace saw too: 0.92 times as wide, 1.19 as high, their middle 0.12 further up.
    """
    import numpy as np

    up = 0.22 * (found[:, 3] - found[:, 1])
    return np.stack([found[:, 0], found[:, 1] - up, *found[:, 2:].T], axis=1)


def merge_detectors(first: NDArray[np.float32], second: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """The boxes of which the first detector is sure, and those that the second adds to them, to be doubted.

    It adds a face where the first has at least a trace of one, or where it is very sure: alone it takes fists for faces.
    """
    import numpy as np

    sure, traces = first[first[:, 4] >= threshold], first[first[:, 4] < threshold]
    new = []
    for box in second:
        seen, maybe = (any(overlap(box, other) > 0.2 for other in others) for others in (sure, traces))
        if not seen and (maybe or box[4] >= ALONE):
            new.append([*box[:4], min(box[4], DOUBTED)])
    return np.concatenate([sure, np.array(new, np.float32)]) if new else sure


def only_hands(track: Track, body: Body, width: int, height: int) -> bool:
    """Whether a track is a hand that the detector took for a face: weak all the time, and always on a tracked hand."""
    from deemo_data.tracks.body import hand_boxes

    if max(float(b[4]) for b in track.boxes.values()) > DOUBTED:
        return False
    return all(any(on_hand(box, hand) for hand in hand_boxes(body, f, width, height)) for f, box in track.boxes.items())


def on_hand(box: NDArray[np.float32], hand: NDArray[np.float32]) -> bool:
    """Whether the middle of a box lies on a hand (x0, y0, x1, y1), and it is not much larger than the hand."""
    x, y, size = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(hand[2] - hand[0], hand[3] - hand[1])
    near = hand[0] - size / 4 <= x <= hand[2] + size / 4 and hand[1] - size / 4 <= y <= hand[3] + size / 4
    return bool(near and box[2] - box[0] < 1.5 * size)


def head_boxes(body: Body, width: int, height: int, rows: list[Row]) -> list[Row]:
    """Boxes around the head end of the pose, for frames in which no face box covers its middle (track -1).

    Sizes are from measurements on real footage: a box may be added, never taken away.
    """
    import numpy as np

    covered: dict[int, list[Row]] = {}
    for row in rows:
        covered.setdefault(row[0], []).append(row)
    added: list[Row] = []
    size = np.array([width, height], np.float32)
    for f in range(body.points.shape[0]):
        for person in range(body.points.shape[1]):
            p = body.points[f, person, :13, :2] * size
            if np.isnan(p).any() or body.confidence[f, person, [0, 2, 5, 7, 8]].mean() < 0.5:
                continue
            box = head_box(p)
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            if not any(r[2] <= x <= r[4] and r[3] <= y <= r[5] for r in covered.get(f, ())):
                x0, y0, x1, y1 = (float(v) for v in box)
                added.append((f, -1, x0, y0, x1, y1, 0.0, "pose"))
    return added


def head_box(p: NDArray[np.float32]) -> NDArray[np.float32]:
    """(x0, y0, x1, y1) of a head from the first 13 points of BlazePose, in pixels."""
    import numpy as np

    nose, ears, eyes, mouth, shoulders = p[0], p[[7, 8]], p[[2, 5]].mean(0), p[[9, 10]].mean(0), p[[11, 12]]
    ear = ears.mean(0)
    apart = float(np.hypot(*(ears[0] - ears[1])))
    across = float(np.hypot(*(shoulders[0] - shoulders[1])))
    ahead = float(np.hypot(*(nose - ear)))
    neck = float(np.hypot(*(mouth - shoulders.mean(0))))
    high = 1.45 * max(apart, 2 * ahead, 2 * float(np.hypot(*(eyes - mouth))))
    high = min(max(high, 0.35 * across), 1.3 * max(across, 1.7 * neck))
    wide = high * (0.80 + 0.12 * min(1.0, ahead / max(apart, 1e-3)))
    x, y = np.mean([nose, eyes, ear, mouth], axis=0) - [0, 0.04 * high]
    return np.array([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], np.float32)
