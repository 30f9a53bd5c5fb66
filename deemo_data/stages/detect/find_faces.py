"""FindFaces: a box for every face in every frame.

In:  the pictures of the clip and the body track. Out: face boxes (tracks/faces.py).

Two detectors run on every few frames, and on more frames where their results differ. In a large picture the first one also looks
closer, for small faces (small_faces.py). tracks/linking.py joins the detections to tracks and fills the frames between. Where the
body track has a head that no box covers, a box is added.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks.cuts import mark_cuts
from deemo_data.tracks.linking import Row, Track, box_iou, box_ious, fill_gaps, link_detections, refine_stretch, rows_to_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.media.frames import Frame
    from deemo_data.stages.detect.small_faces import SmallFaceSearch
    from deemo_data.tracks.body import Body


MAX_DOUBTFUL_SCORE = 0.6  # a box with at most this score may be a hand
MIN_TRACE_SCORE = 0.1  # first detector: below its threshold, but enough to support the second detector
MIN_LONE_SCORE = 0.85  # second detector: enough without support by the first
CUT_PREVIEW_SIZE = 32, 18  # pixels of the pictures in which cuts are found
Detector = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]  # a picture of the input size -> (n, 5) boxes and score


@dataclass(frozen=True)
class FindFaces:
    """Makes `faces` (tracks.faces.FACE_COLUMNS).

    detect    |x    .    .    .    .|x    .    .    .    .|x         on every `every`-th frame, and on all frames between two
    closer    |T                             T             T|        in a large picture: every `closer_every`-th frame, in tiles
    link      |o----------------------o--------------------o|        results that differ; boxes of one face are linked, gaps
    hold   <--|                                              |-->    interpolated, and the box held on at both ends
    """

    detector: Literal["centerface-09189d", "insightface"] = "centerface-09189d"
    model: str = ""  # insightface only: an .onnx file (its whole path)
    model_sha256: str = ""  # insightface only: the digest of that file
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.3
    longest: Annotated[int, Field(ge=128, le=4096)] = 640  # px of the longer side of the detector's input
    second: Literal["blazeface-short-bbff11", "none"] = "blazeface-short-bbff11"  # adds faces that only it finds
    second_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.7
    second_longest: Annotated[int, Field(ge=128, le=4096)] = 256
    every: Annotated[int, Field(ge=1, le=30)] = 5
    narrowest: Annotated[int, Field(ge=0, le=200)] = 18  # px of the picture: faces from this width on; 0: no closer look
    closer_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.1  # of the first detector, in the closer look
    closer_every: Annotated[int, Field(ge=1, le=60)] = 15
    bridge_ms: Annotated[int, Field(ge=0)] = 2000  # a gap up to this long is filled
    hold_ms: Annotated[int, Field(ge=0)] = 500  # how long a box is held before its first detection and after its last
    pose: bool = True  # also cover the head of the body track where no box does

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "body")
    makes: ClassVar[dict[str, str]] = {"faces": "faces.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks import faces
        from deemo_data.tracks.body import read_body

        detections, small, cuts = self._detect_faces(clip)
        fps = float(clip.grid.fps)
        body = read_body(clip.path("body"))

        def fill_tracks(found: dict[int, NDArray[np.float32]], number: int) -> list[Row]:
            tracks = link_detections(found, cuts, bridge=round(self.bridge_ms / 1000 * fps))
            tracks = [t for t in tracks if not is_always_hand(t, body, clip.grid.width, clip.grid.height)]
            return fill_gaps(tracks, clip.num_frames, hold=round(self.hold_ms / 1000 * fps), cuts=cuts, first_number=number)

        rows = fill_tracks(detections, 0)
        rows += drop_covered_tracks(fill_tracks(small, 1 + max((row[1] for row in rows), default=-1)), rows)
        if self.pose:
            rows += find_uncovered_heads(body, clip.grid.width, clip.grid.height, rows)
        faces.write_faces(rows_to_table(rows), out / self.makes["faces"])
        return {}

    def _detector(self, clip: Clip) -> tuple[Detector, int, int]:
        """Both detectors as one function, and the width and height of its input."""
        from deemo_data.models.faces import centerface

        width, height = centerface.choose_input_size(clip.grid.width, clip.grid.height, self.longest)
        if self.second == "none":
            return self._first(self.threshold), width, height
        first, second = self._first(min(MIN_TRACE_SCORE, self.threshold)), self._second()
        return lambda bgr: merge_detectors(first(bgr), second(bgr), self.threshold), width, height

    def _first(self, threshold: float) -> Detector:
        match self.detector:
            case "centerface-09189d":
                from deemo_data.models.faces import centerface

                net = centerface.load(self.detector)
                return lambda bgr: centerface.detect(net, bgr, threshold)
            case "insightface":
                from deemo_data.models.faces import insightface

                model = insightface.load(self.model, self.model_sha256)
                return lambda bgr: insightface.detect(model, bgr, threshold)

    def _second(self) -> Detector:
        from deemo_data.models.faces import blazeface

        net = blazeface.load(self.second)
        return lambda bgr: face_boxes(blazeface.detect_at_size(net, bgr[:, :, ::-1], self.second_threshold, self.second_longest))

    def _detect_faces(self, clip: Clip) -> tuple[dict[int, NDArray[np.float32]], dict[int, NDArray[np.float32]], list[int]]:
        """{frame: (n, 5) boxes in source pixels} of the looks at the whole picture, the same of the closer looks, and the cuts.

        Only frames with a look are in the dictionaries. Cuts are the frames at which a new shot begins.
        """
        import numpy as np

        from deemo_data.media import frames

        detect, width, height = self._detector(clip)
        scale = np.array([clip.grid.width / width, clip.grid.height / height] * 2 + [1], np.float32)
        detections: dict[int, Future[NDArray[np.float32]]] = {}
        cuts: list[int] = []
        stretch: list[Frame] = []  # the last frame with a detection, and the frames after it
        pending: deque[list[Frame]] = deque()  # stretches from one detection to the next, not yet refined
        with ThreadPoolExecutor(2) as threads, self._search_closer(clip, max(width, height)) as closer:

            def detect_once(frame: Frame) -> Future[NDArray[np.float32]]:
                if frame.index not in detections:
                    detections[frame.index] = threads.submit(detect, frame.bgr(width, height))
                return detections[frame.index]

            for frame, is_cut in mark_cuts(frames.read_frames(clip), lambda frame: frame.bgr(*CUT_PREVIEW_SIZE)):
                if is_cut:
                    cuts.append(frame.index)
                if closer is not None:
                    closer.add(frame, is_cut)
                stretch.append(frame)
                if is_cut or len(stretch) > self.every or frame.index in (0, clip.num_frames - 1):
                    detect_once(frame)
                    pending.append(stretch)
                    stretch = [frame]
                    if len(pending) > 2:  # decoding and detection stay a little ahead of refinement
                        refine_stretch(pending.popleft(), detect_once)
            for stretch in pending:
                refine_stretch(stretch, detect_once)
            found = {f: detections[f].result() * scale for f in sorted(detections)}
            return found, {} if closer is None else closer.finish(), cuts

    @contextmanager
    def _search_closer(self, clip: Clip, longest: int) -> Iterator[SmallFaceSearch | None]:
        """The search for faces that are too small for a look with a longer side of `longest` pixels; None if there are none."""
        from deemo_data.stages.detect.small_faces import SmallFaceSearch, choose_search_size

        grid = clip.grid
        size = choose_search_size(grid.width, grid.height, self.narrowest, longest)
        if size is None:
            yield None
        else:
            with ThreadPoolExecutor(1) as thread:
                detect = self._first(self.closer_threshold)
                yield SmallFaceSearch(detect, (grid.width, grid.height), size, longest, self.closer_every, self.every, thread)


def drop_covered_tracks(rows: list[Row], others: list[Row]) -> list[Row]:
    """The rows of the tracks that are not, in all their frames, the same face as a box of `others`."""
    import numpy as np

    by_frame: dict[int, list[tuple[float, ...]]] = {}
    for row in others:
        by_frame.setdefault(row[0], []).append(row[2:6])
    boxes = {frame: np.array(found, np.float32) for frame, found in by_frame.items()}
    none = np.zeros((0, 4), np.float32)
    kept = {row[1] for row in rows if box_ious(np.array(row[2:6], np.float32), boxes.get(row[0], none)).max(initial=0) < 0.5}
    return [row for row in rows if row[1] in kept]


def face_boxes(squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes of whole faces from the squares of BlazeFace, which reach from brow to chin.

    Measured on 797 faces that CenterFace found too: its boxes are 0.92 times as wide as the squares and 1.19 times as high, and
    their centres lie further up by 0.12 of the square's height.
    """
    import numpy as np

    up = 0.22 * (squares[:, 3] - squares[:, 1])
    return np.stack([squares[:, 0], squares[:, 1] - up, *squares[:, 2:].T], axis=1)


def merge_detectors(first: NDArray[np.float32], second: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """The boxes above the first detector's threshold, and those that the second detector adds, with a low score.

    The second adds a face where the first has at least a weak detection, or where its own score is high: alone it takes fists
    for faces.
    """
    import numpy as np

    sure, traces = first[first[:, 4] >= threshold], first[first[:, 4] < threshold]
    added = []
    for box in second:
        is_known, is_supported = (any(box_iou(box, other) > 0.2 for other in others) for others in (sure, traces))
        if not is_known and (is_supported or box[4] >= MIN_LONE_SCORE):
            added.append([*box[:4], min(box[4], MAX_DOUBTFUL_SCORE)])
    return np.concatenate([sure, np.array(added, np.float32)]) if added else sure


def is_always_hand(track: Track, body: Body, width: int, height: int) -> bool:
    """Whether a track is a hand that the detector took for a face: all its scores are low, and it is always on a tracked hand."""
    from deemo_data.tracks.body import find_hand_boxes

    if max(float(b[4]) for b in track.boxes.values()) > MAX_DOUBTFUL_SCORE:
        return False
    return all(any(is_on_hand(box, hand) for hand in find_hand_boxes(body, f, width, height)) for f, box in track.boxes.items())


def is_on_hand(box: NDArray[np.float32], hand: NDArray[np.float32]) -> bool:
    """Whether the middle of a box lies on a hand (x0, y0, x1, y1) and the box is not much larger than the hand."""
    x, y, size = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(hand[2] - hand[0], hand[3] - hand[1])
    near = hand[0] - size / 4 <= x <= hand[2] + size / 4 and hand[1] - size / 4 <= y <= hand[3] + size / 4
    return bool(near and box[2] - box[0] < 1.5 * size)


def find_uncovered_heads(body: Body, width: int, height: int, rows: list[Row]) -> list[Row]:
    """Boxes (track -1) around the heads of the body track, in frames in which no face box covers the middle of the head.

    `rows` are the face boxes so far; boxes are only added to them, never removed. Sizes are from measurements on real footage.
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
            box = head_box_of_pose(p)
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            if not any(r[2] <= x <= r[4] and r[3] <= y <= r[5] for r in covered.get(f, ())):
                x0, y0, x1, y1 = (float(v) for v in box)
                added.append((f, -1, x0, y0, x1, y1, 0.0, "pose"))
    return added


def head_box_of_pose(p: NDArray[np.float32]) -> NDArray[np.float32]:
    """(x0, y0, x1, y1) of a head from the first 13 points of BlazePose, in pixels."""
    import numpy as np

    nose, ears, eyes, mouth, shoulders = p[0], p[[7, 8]], p[[2, 5]].mean(0), p[[9, 10]].mean(0), p[[11, 12]]
    ear = ears.mean(0)
    between_ears = float(np.hypot(*(ears[0] - ears[1])))
    shoulder_width = float(np.hypot(*(shoulders[0] - shoulders[1])))
    nose_to_ears = float(np.hypot(*(nose - ear)))
    neck = float(np.hypot(*(mouth - shoulders.mean(0))))
    height = 1.45 * max(between_ears, 2 * nose_to_ears, 2 * float(np.hypot(*(eyes - mouth))))
    height = min(max(height, 0.35 * shoulder_width), 1.3 * max(shoulder_width, 1.7 * neck))
    width = height * (0.80 + 0.12 * min(1.0, nose_to_ears / max(between_ears, 1e-3)))
    x, y = np.mean([nose, eyes, ear, mouth], axis=0) - [0, 0.04 * height]
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], np.float32)
