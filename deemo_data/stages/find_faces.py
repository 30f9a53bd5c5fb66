"""Find every face in every frame: by two detectors now and then, linked both ways, covered where nothing was detected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from deemo_data import media
    from deemo_data.tracks import Body

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
        from deemo_data import tracks

        looks, cuts = self._look(clip)
        fps = float(clip.grid.fps)
        body = tracks.read_body(clip.path("body"))
        found = link(looks, cuts, bridge=round(self.bridge_ms / 1000 * fps))
        found = [t for t in found if not only_hands(t, body, clip.grid.width, clip.grid.height)]
        rows = fill(found, clip.num_frames, hold=round(self.hold_ms / 1000 * fps), cuts=cuts)
        if self.pose:
            rows += head_boxes(body, clip.grid.width, clip.grid.height, rows)
        tracks.write_faces(table(rows), out / self.makes["faces"])
        return {}

    def _detector(self, clip: Clip) -> tuple[Detect, int, int]:
        """Both detectors in one, and the size of picture that it wants to be shown."""
        from deemo_data.models import centerface

        width, height = centerface.working_size(clip.grid.width, clip.grid.height, self.longest)
        if self.second == "none":
            return self._first(self.threshold), width, height
        first, second = self._first(min(TRACE, self.threshold)), self._second()
        return lambda bgr: joined(first(bgr), second(bgr), self.threshold), width, height

    def _first(self, threshold: float) -> Detect:
        match self.detector:
            case "centerface-09189d":
                from deemo_data.models import centerface

                net = centerface.load(self.detector)
                return lambda bgr: centerface.detect(net, bgr, threshold)
            case "insightface":
                from deemo_data.models import insightface

                model = insightface.load(self.model, self.model_sha256)
                return lambda bgr: insightface.detect(model, bgr, threshold)

    def _second(self) -> Detect:
        from deemo_data.models import blazeface

        net = blazeface.load(self.second)
        return lambda bgr: heads(blazeface.look(net, bgr[:, :, ::-1], self.second_threshold, self.second_longest))

    def _look(self, clip: Clip) -> tuple[dict[int, NDArray[np.float32]], list[int]]:
        """{frame looked at: (n, 5) boxes in source pixels}, and the frames at which a new shot begins."""
        import numpy as np

        from deemo_data import media

        detect, width, height = self._detector(clip)
        scale = np.array([clip.grid.width / width, clip.grid.height / height] * 2 + [1], np.float32)
        looks: dict[int, Future[NDArray[np.float32]]] = {}
        cuts: list[int] = []
        since: list[media.Frame] = []  # the last look, and what came after it
        unsettled: deque[list[media.Frame]] = deque()  # from look to look
        changes: deque[float] = deque([255.0] * 4, maxlen=4)
        before: NDArray[np.int16] | None = None
        with ThreadPoolExecutor(2) as threads:

            def look(frame: media.Frame) -> Future[NDArray[np.float32]]:
                if frame.index not in looks:
                    looks[frame.index] = threads.submit(detect, frame.bgr(width, height))
                return looks[frame.index]

            for frame in media.frames(clip):
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
                        settle(unsettled.popleft(), look)
            for stretch in unsettled:
                settle(stretch, look)
            return {f: looks[f].result() * scale for f in sorted(looks)}, cuts


def settle(stretch: list[media.Frame], look: Callable[[media.Frame], Future[NDArray[np.float32]]]) -> None:
    """Look at every frame of a stretch if looks at its ends differ."""
    if differ(look(stretch[0]).result(), look(stretch[-1]).result()):
        for frame in stretch:
            look(frame)


def heads(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """BlazeFace's squares from brow to chin as boxes of whole faces.

    Measured on 797 faces that CenterFace saw too: 0.92 times as wide, 1.19 as high, their middle 0.12 further up.
    """
    import numpy as np

    up = 0.22 * (found[:, 3] - found[:, 1])
    return np.stack([found[:, 0], found[:, 1] - up, *found[:, 2:].T], axis=1)


def joined(first: NDArray[np.float32], second: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
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


def differ(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether two looks are so unlike that the frames between them want looking at: a face more or less, or moved."""
    if len(a) != len(b):
        return True
    return any(max((overlap(x, y) for y in b), default=0.0) < 0.6 for x in a)


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = float(wide * high)
    return both / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@dataclass
class Track:
    """One face through time, while it is being linked: {frame: (x0, y0, x1, y1, score)}."""

    boxes: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return max(self.boxes)


def link(looks: dict[int, NDArray[np.float32]], cuts: list[int], bridge: int) -> list[Track]:
    """Join boxes of successive looks into tracks, nearest centres first; never across a cut."""
    import numpy as np

    tracks: list[Track] = []
    for frame, boxes in looks.items():
        alive = [t for t in tracks if frame - t.last <= bridge and not any(t.last < c <= frame for c in cuts)]
        pairs = []
        for t, track in enumerate(alive):
            old = track.boxes[track.last]
            for b, box in enumerate(boxes):
                size = float(np.sqrt((old[2] - old[0]) * (old[3] - old[1])))
                away = float(np.hypot(*((old[:2] + old[2:4]) / 2 - (box[:2] + box[2:4]) / 2))) / max(size, 1.0)
                alike = 0.5 < float((box[2] - box[0]) / max(old[2] - old[0], 1.0)) < 2
                if alike and (overlap(old, box) > 0.2 or away < 0.6):
                    pairs.append((away, t, b))
        taken_t: set[int] = set()
        taken_b: set[int] = set()
        for _, t, b in sorted(pairs):
            if t not in taken_t and b not in taken_b:
                alive[t].boxes[frame] = boxes[b]
                taken_t.add(t)
                taken_b.add(b)
        tracks += [Track({frame: box}) for b, box in enumerate(boxes) if b not in taken_b]
    return tracks


def only_hands(track: Track, body: Body, width: int, height: int) -> bool:
    """Whether a track is a hand that the detector took for a face: weak all the time, and always on a tracked hand."""
    from deemo_data.tracks import hand_boxes

    if max(float(b[4]) for b in track.boxes.values()) > DOUBTED:
        return False
    return all(any(on_hand(box, hand) for hand in hand_boxes(body, f, width, height)) for f, box in track.boxes.items())


def on_hand(box: NDArray[np.float32], hand: NDArray[np.float32]) -> bool:
    """Whether the middle of a box lies on a hand (x0, y0, x1, y1), and it is not much larger than the hand."""
    x, y, size = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(hand[2] - hand[0], hand[3] - hand[1])
    near = hand[0] - size / 4 <= x <= hand[2] + size / 4 and hand[1] - size / 4 <= y <= hand[3] + size / 4
    return bool(near and box[2] - box[0] < 1.5 * size)


Row = tuple[int, int, float, float, float, float, float, str]


def fill(tracks: list[Track], num_frames: int, hold: int, cuts: list[int]) -> list[Row]:
    """A box for every frame of every track: linked between looks, held on past both ends, wider where it moves."""
    import numpy as np

    rows: list[Row] = []
    for number, track in enumerate(tracks):
        seen = np.array(sorted(track.boxes))
        boxes = np.stack([track.boxes[f] for f in seen])
        first = max([0, int(seen[0]) - hold, *(c for c in cuts if c <= seen[0])])
        end = min([num_frames, int(seen[-1]) + hold + 1, *(c for c in cuts if c > seen[-1])])
        span = np.arange(first, end)
        dense = np.stack([np.interp(span, seen, boxes[:, i]) for i in range(5)], axis=1)
        centre = (dense[:, :2] + dense[:, 2:4]) / 2
        speed = np.abs(np.gradient(centre, axis=0)) if len(span) > 1 else np.zeros_like(centre)
        slack = np.minimum(speed * 3, (dense[:, 2:4] - dense[:, :2]) * 0.5)  # as far as it moves in three frames
        dense[:, :2] -= slack
        dense[:, 2:4] += slack
        known = set(seen.tolist())
        for f, box in zip(span.tolist(), dense.tolist(), strict=True):
            origin = "detected" if f in known else "linked" if seen[0] < f < seen[-1] else "held"
            rows.append((f, number, *box, origin))
    return rows


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


def table(rows: list[Row]) -> pd.DataFrame:
    import pandas as pd

    from deemo_data.tracks import FACE_COLUMNS

    faces = pd.DataFrame(rows, columns=list(FACE_COLUMNS))
    return faces.astype({"frame": "int32", "track": "int32", "origin": "string"} | dict.fromkeys(FACE_COLUMNS[2:7], "float32"))
