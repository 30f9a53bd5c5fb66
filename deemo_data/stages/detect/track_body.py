"""TrackBody: the points of one body and of its hands in every frame.

In:  the pictures of the clip. Out: the body track (tracks/body.py) and all detected hands (tracks/hands.py).
track_hands.py adds a second detection pass over the mirror image. All of this is private: publish_body.py makes the public track.
"""

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


@dataclass(frozen=True)
class TrackBody:
    """Makes `body`, 33 body and 2 x 21 hand points per frame (tracks.body.Body, one person), and `hands`, all detected hands.

    `hands` has the columns of tracks.hands.HAND_COLUMNS; its column `look` is 0, the pass over the frame as it is.
    """

    pose_detector: Literal["blazepose-detector-9ba9dd"] = "blazepose-detector-9ba9dd"
    pose_landmarks: Literal["blazepose-landmarks-e9a5c5"] = "blazepose-landmarks-e9a5c5"
    hand_detector: Literal["palm-detector-1b14e9"] = "palm-detector-1b14e9"
    hand_landmarks: Literal["hand-landmarks-11c272"] = "hand-landmarks-11c272"
    longest: Annotated[int, Field(ge=128, le=1920)] = 640  # px of the longer side of the models' input

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid")
    makes: ClassVar[dict[str, str]] = {"body": "body.parquet", "hands": "hands.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.media import frames
        from deemo_data.media.lookahead import run_ahead
        from deemo_data.models import mediapipe
        from deemo_data.tracks import body, skeleton
        from deemo_data.tracks.hands import write_hands

        grid, count = clip.grid, clip.num_frames
        width, height = limit_size(grid.width, grid.height, self.longest)
        points = np.full((count, 1, skeleton.TRACKED_POINTS, 3), np.nan, np.float32)
        confidence = np.zeros(points.shape[:3], np.float32)
        detections: list[tuple[int, int, list[DetectedHand]]] = []  # frame, pass, hands
        with (
            mediapipe.open_pose_landmarker(self.pose_detector, self.pose_landmarks) as find_poses,
            mediapipe.open_hand_landmarker(self.hand_detector, self.hand_landmarks) as find_hands,
            ThreadPoolExecutor(1) as pose_thread,  # one thread per landmarker, because it needs its frames in order
            ThreadPoolExecutor(1) as hand_thread,
        ):

            def store_frame(index: int, bodies: list[NDArray], hands: list[DetectedHand]) -> None:
                if bodies:
                    points[index, 0, : skeleton.BODY_POINTS] = bodies[0][:, :3]
                    confidence[index, 0, : skeleton.BODY_POINTS] = bodies[0][:, 3]
                detections.append((index, 0, hands))
                wrists = points[index, 0, skeleton.TRACKED.wrists, :2]
                for side, hand in assign_sides(hands, wrists, width / height).items():
                    begin = skeleton.TRACKED.hands[side]
                    points[index, 0, begin : begin + skeleton.HAND_POINTS] = hand.points
                    confidence[index, 0, begin : begin + skeleton.HAND_POINTS] = hand.score

            def submit_frames() -> Iterator[tuple[int, Future[list[NDArray]], Future[list[DetectedHand]]]]:
                for frame in frames.read_frames(clip):
                    rgb, ms = frame.rgb(width, height), int(frame.index * 1000 / grid.fps)
                    yield frame.index, pose_thread.submit(find_poses, rgb, ms), hand_thread.submit(find_hands, rgb, ms)

            for index, bodies, hands in run_ahead(submit_frames()):
                store_frame(index, bodies.result(), hands.result())
        body.write_body(body.Body(points, confidence), out / self.makes["body"])
        write_hands(detections, out / self.makes["hands"])
        return {}


def limit_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """Width and height in the same proportion, the longer side at most `longest`."""
    scale = min(1.0, longest / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))


def assign_sides(hands: list[DetectedHand], wrists: NDArray[np.float32], aspect: float) -> dict[int, DetectedHand]:
    """{side: hand}, 0 the person's left and 1 the right: by the nearer wrist of the pose, or without wrists by the hand model.

    wrists  (2, 2) of the pose, as shares of the picture; aspect: width over height of the picture
    """
    import numpy as np

    if np.isnan(wrists).any():
        return {("left", "right").index(h.side): h for h in sorted(hands, key=lambda h: h.score)}
    stretch = np.array([aspect, 1.0], np.float32)
    distances = [[float(np.hypot(*((h.points[0, :2] - w) * stretch))) for w in wrists] for h in hands]
    by_side: dict[int, DetectedHand] = {}
    for _, h, side in sorted((distances[h][side], h, side) for h in range(len(hands)) for side in (0, 1)):
        if side not in by_side and not any(hands[h] is other for other in by_side.values()):
            by_side[side] = hands[h]
    return by_side
