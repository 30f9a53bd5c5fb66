"""Follow body and hands through a clip: all points, for our eyes only."""

from __future__ import annotations

from collections.abc import Iterator
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


WRISTS = (15, 16)  # of BlazePose: the person's left, right


@dataclass(frozen=True)
class TrackBody:
    """Makes `body`: 33 body and 2 x 21 hand points a frame (tracks.Body, one person); and `hands`: all of the hands, as seen.

    `hands` has the columns of hands.LOOK_COLUMNS, of look 0: the frame as it is.
    """

    pose_detector: Literal["blazepose-detector-9ba9dd"] = "blazepose-detector-9ba9dd"
    pose_landmarks: Literal["blazepose-landmarks-e9a5c5"] = "blazepose-landmarks-e9a5c5"
    hand_detector: Literal["palm-detector-1b14e9"] = "palm-detector-1b14e9"
    hand_landmarks: Literal["hand-landmarks-11c272"] = "hand-landmarks-11c272"
    longest: Annotated[int, Field(ge=128, le=1920)] = 640  # px of the longer side that the models are shown

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid")
    makes: ClassVar[dict[str, str]] = {"body": "body.parquet", "hands": "hands.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.media import frames
        from deemo_data.models import mediapipe
        from deemo_data.tracks import body
        from deemo_data.tracks.hands import write_looks

        grid, count = clip.grid, clip.num_frames
        width, height = shrink(grid.width, grid.height, self.longest)
        points = np.full((count, 1, body.BODY_POINTS + 2 * body.HAND_POINTS, 3), np.nan, np.float32)
        confidence = np.zeros(points.shape[:3], np.float32)
        looks: list[tuple[int, int, list[DetectedHand]]] = []
        with (
            mediapipe.pose(self.pose_detector, self.pose_landmarks) as pose,
            mediapipe.hands(self.hand_detector, self.hand_landmarks) as look,
            ThreadPoolExecutor(1) as posing,  # a thread each: a landmarker wants its frames in order
            ThreadPoolExecutor(1) as handing,
        ):

            def keep(index: int, bodies: Future[list[NDArray]], seen: Future[list[DetectedHand]]) -> None:
                if found := bodies.result():
                    points[index, 0, : body.BODY_POINTS] = found[0][:, :3]
                    confidence[index, 0, : body.BODY_POINTS] = found[0][:, 3]
                looks.append((index, 0, seen.result()))
                for side, hand in sides(looks[-1][2], points[index, 0, WRISTS, :2], width / height).items():
                    begin = body.BODY_POINTS + side * body.HAND_POINTS
                    points[index, 0, begin : begin + body.HAND_POINTS] = hand.points
                    confidence[index, 0, begin : begin + body.HAND_POINTS] = hand.score

            def begun() -> Iterator[tuple[int, Future[list[NDArray]], Future[list[DetectedHand]]]]:
                for frame in frames.read_frames(clip):
                    rgb, ms = frame.rgb(width, height), int(frame.index * 1000 / grid.fps)
                    yield frame.index, posing.submit(pose, rgb, ms), handing.submit(look, rgb, ms)

            for index, bodies, seen in frames.behind(begun()):
                keep(index, bodies, seen)
        body.write_body(body.Body(points, confidence), out / self.makes["body"])
        write_looks(looks, out / self.makes["hands"])
        return {}


def shrink(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size with the same shape whose longer side is at most `longest`."""
    scale = min(1.0, longest / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))


def sides(hands: list[DetectedHand], wrists: NDArray[np.float32], aspect: float) -> dict[int, DetectedHand]:
    """Which hand is the person's left (0) and right (1): by the nearer wrist of the pose, else by how it looks."""
    import numpy as np

    if np.isnan(wrists).any():
        return {("left", "right").index(h.side): h for h in sorted(hands, key=lambda h: h.score)}
    stretch = np.array([aspect, 1.0], np.float32)
    far = [[float(np.hypot(*((h.points[0, :2] - w) * stretch))) for w in wrists] for h in hands]
    found: dict[int, DetectedHand] = {}
    for _, h, side in sorted((far[h][side], h, side) for h in range(len(hands)) for side in (0, 1)):
        if side not in found and not any(hands[h] is kept for kept in found.values()):
            found[side] = hands[h]
    return found
