"""TrackHands: a second detection pass for hands near a face, over the mirror image of the frame.

In:  the pictures of the clip, the body track, all detected hands, face boxes. Out: the hands of both passes near faces.
mask_video.py shows a hand over a face only where both passes agree; propose.py uses the hands that only the second pass found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks.hands import DetectedHand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.tracks.body import Body


HAND_END_POINTS = slice(15, 23)  # of BlazePose: the wrists and its three points of each hand


@dataclass(frozen=True)
class TrackHands:
    """Makes `hand_looks` (tracks.hands.HAND_COLUMNS), for the frames in which a hand is near a face.

    near    |....xxxxx...xxx...............|   frames with a hand or a wrist of `body` in an enlarged face box
    look 0  |.<======================>.....|   taken from `hands`: the pass of track_body over the frame itself
    look 1  |.<======================>.....|   the pass over the mirror image, which begins `lead` frames earlier and ends
                                               `lead` frames later, because tracking needs some frames to start

    The model does not run on other frames, so a clip without hands at faces costs nothing.
    """

    detector: Literal["palm-detector-1b14e9", "none"] = "palm-detector-1b14e9"  # none: hands are not detected
    landmarks: Literal["hand-landmarks-11c272"] = "hand-landmarks-11c272"
    longest: Annotated[int, Field(ge=128, le=1920)] = 640  # px of the longer side of the model's input
    near: Annotated[float, Field(ge=1, le=5)] = 1.6  # a hand is near if it touches a face box enlarged by this factor
    lead: Annotated[int, Field(ge=0, le=100)] = 10  # frames

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "body", "hands", "faces")
    makes: ClassVar[dict[str, str]] = {"hand_looks": "hand_looks.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks.body import read_body
        from deemo_data.tracks.faces import boxes_by_frame, read_faces
        from deemo_data.tracks.hands import write_mirrored_hands

        spans: list[range] = []
        if self.detector != "none":
            boxes = boxes_by_frame(read_faces(clip.path("faces")))
            body = read_body(clip.path("body"))
            frames = find_frames_near_faces(body, boxes, clip.grid.width, clip.grid.height, self.near)
            spans = widen_to_ranges(frames, clip.num_frames, self.lead)
        wanted = {f for span in spans for f in span}
        mirrored = self._detect_mirrored(clip, wanted) if wanted else {}
        write_mirrored_hands(clip.path("hands"), mirrored, out / self.makes["hand_looks"])
        return {}

    def _detect_mirrored(self, clip: Clip, wanted: set[int]) -> dict[int, list[DetectedHand]]:
        """{frame: hands} of the wanted frames, detected in the mirror image, in coordinates of the frame."""
        from deemo_data.media.frames import read_frames
        from deemo_data.media.lookahead import run_ahead
        from deemo_data.models import mediapipe
        from deemo_data.stages.detect.track_body import limit_size

        grid, last = clip.grid, max(wanted)
        width, height = limit_size(grid.width, grid.height, self.longest)
        with mediapipe.open_hand_landmarker(self.detector, self.landmarks) as find_hands, ThreadPoolExecutor(1) as thread:

            def submit_frames() -> Iterator[tuple[int, Future[list[DetectedHand]]]]:
                for frame in read_frames(clip):
                    if frame.index in wanted:
                        mirror = frame.rgb(width, height)[:, ::-1]
                        yield frame.index, thread.submit(find_hands, mirror, int(frame.index * 1000 / grid.fps))
                    if frame.index == last:
                        return

            return {index: [unmirror_hand(hand) for hand in hands.result()] for index, hands in run_ahead(submit_frames())}


def unmirror_hand(hand: DetectedHand) -> DetectedHand:
    """A hand that was detected in the mirror image, in coordinates of the frame."""
    import numpy as np

    from deemo_data.tracks.hands import DetectedHand

    sign = np.array([-1, 1, 1], np.float32)
    side = {"left": "right", "right": "left"}.get(hand.side, hand.side)
    return DetectedHand(hand.points * sign + np.array([1, 0, 0], np.float32), hand.world * sign, side, hand.score)


def find_frames_near_faces(body: Body, boxes: dict[int, NDArray[np.float32]], width: int, height: int, near: float) -> set[int]:
    """The frames in which a hand of the body, or a wrist or finger point of the pose, lies in a face box enlarged by `near`."""
    import numpy as np

    from deemo_data.tracks.body import find_hand_boxes

    frames: set[int] = set()
    size = np.array([width, height], np.float32)
    for frame, faces in boxes.items():
        middle, half = (faces[:, :2] + faces[:, 2:4]) / 2, (faces[:, 2:4] - faces[:, :2]) / 2 * near
        low, high = middle - half, middle + half
        hands = find_hand_boxes(body, frame, width, height)
        ends = body.points[frame, :, HAND_END_POINTS, :2].reshape(-1, 2) * size
        sure = body.confidence[frame, :, HAND_END_POINTS].reshape(-1) > 0.5
        hands += [np.concatenate([p, p]) for p in ends[sure & ~np.isnan(ends).any(axis=1)]]
        if any(((h[:2] <= high) & (h[2:] >= low)).all(axis=1).any() for h in hands):
            frames.add(frame)
    return frames


def widen_to_ranges(frames: Iterable[int], count: int, lead: int) -> list[range]:
    """The frames, and `lead` frames before and after each, as the fewest ranges within [0, count)."""
    spans: list[range] = []
    for f in sorted(frames):
        begin, end = max(0, f - lead), min(count, f + lead + 1)
        if spans and begin <= spans[-1].stop:
            spans[-1] = range(spans[-1].start, end)
        else:
            spans.append(range(begin, end))
    return spans
