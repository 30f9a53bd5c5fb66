"""Look a second time at the hands that may lie over a face: at the frame's mirror image."""

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


HAND_END = slice(15, 23)  # of BlazePose: wrists, and the beginnings of fingers


@dataclass(frozen=True)
class TrackHands:
    """Makes `hand_looks` (hands.LOOK_COLUMNS), for the stretches in which a hand is near a face.

    near    |....xxxxx...xxx...............|   a hand or a wrist of `body` within a face box, grown
    look 0  |.<======================>.....|   of `hands`: what track_body saw in the frame itself
    look 1  |.<======================>.....|   seen now, in the mirror; `lead` frames before and after too: tracking begins

    Other frames are not shown to the model, so a clip without hands at faces costs nothing.
    """

    detector: Literal["palm-detector-1b14e9", "none"] = "palm-detector-1b14e9"  # none: no hands are looked for
    landmarks: Literal["hand-landmarks-11c272"] = "hand-landmarks-11c272"
    longest: Annotated[int, Field(ge=128, le=1920)] = 640  # px of the longer side that the model is shown
    near: Annotated[float, Field(ge=1, le=5)] = 1.6  # a hand is near when it touches a face box grown so many times
    lead: Annotated[int, Field(ge=0, le=100)] = 10  # frames

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "body", "hands", "faces")
    makes: ClassVar[dict[str, str]] = {"hand_looks": "hand_looks.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks.body import read_body
        from deemo_data.tracks.faces import boxes_by_frame, read_faces
        from deemo_data.tracks.hands import write_mirrored

        spans: list[range] = []
        if self.detector != "none":
            boxes = boxes_by_frame(read_faces(clip.path("faces")))
            body = read_body(clip.path("body"))
            frames = hands_near(body, boxes, clip.grid.width, clip.grid.height, self.near)
            spans = stretches(frames, clip.num_frames, self.lead)
        wanted = {f for span in spans for f in span}
        write_mirrored(clip.path("hands"), self._mirrored(clip, wanted) if wanted else {}, out / self.makes["hand_looks"])
        return {}

    def _mirrored(self, clip: Clip, wanted: set[int]) -> dict[int, list[DetectedHand]]:
        """{frame: hands} of those frames, seen in the mirror and turned back."""
        from deemo_data.media.frames import behind, read_frames
        from deemo_data.models import mediapipe
        from deemo_data.stages.detect.track_body import shrink

        grid, last = clip.grid, max(wanted)
        width, height = shrink(grid.width, grid.height, self.longest)
        with mediapipe.hands(self.detector, self.landmarks) as look, ThreadPoolExecutor(1) as looking:

            def begun() -> Iterator[tuple[int, Future[list[DetectedHand]]]]:
                for frame in read_frames(clip):
                    if frame.index in wanted:
                        mirror = frame.rgb(width, height)[:, ::-1]
                        yield frame.index, looking.submit(look, mirror, int(frame.index * 1000 / grid.fps))
                    if frame.index == last:
                        return

            return {index: [turned(hand) for hand in found.result()] for index, found in behind(begun())}


def turned(hand: DetectedHand) -> DetectedHand:
    """A hand that was seen in the mirror, as it is."""
    import numpy as np

    from deemo_data.tracks.hands import DetectedHand

    sign = np.array([-1, 1, 1], np.float32)
    side = {"left": "right", "right": "left"}.get(hand.side, hand.side)
    return DetectedHand(hand.points * sign + np.array([1, 0, 0], np.float32), hand.world * sign, side, hand.score)


def hands_near(body: Body, boxes: dict[int, NDArray[np.float32]], width: int, height: int, near: float) -> set[int]:
    """Frames in which a hand of the body, or the hand end of an arm, lies in a face box grown `near` times."""
    import numpy as np

    from deemo_data.tracks.body import hand_boxes

    found: set[int] = set()
    size = np.array([width, height], np.float32)
    for frame, faces in boxes.items():
        middle, half = (faces[:, :2] + faces[:, 2:4]) / 2, (faces[:, 2:4] - faces[:, :2]) / 2 * near
        low, high = middle - half, middle + half
        hands = hand_boxes(body, frame, width, height)
        ends = body.points[frame, :, HAND_END, :2].reshape(-1, 2) * size
        sure = body.confidence[frame, :, HAND_END].reshape(-1) > 0.5
        hands += [np.concatenate([p, p]) for p in ends[sure & ~np.isnan(ends).any(axis=1)]]
        if any(((h[:2] <= high) & (h[2:] >= low)).all(axis=1).any() for h in hands):
            found.add(frame)
    return found


def stretches(frames: Iterable[int], count: int, lead: int) -> list[range]:
    """Those frames and `lead` more before and after each, as few ranges within [0, count)."""
    spans: list[range] = []
    for f in sorted(frames):
        begin, end = max(0, f - lead), min(count, f + lead + 1)
        if spans and begin <= spans[-1].stop:
            spans[-1] = range(spans[-1].start, end)
        else:
            spans.append(range(begin, end))
    return spans
