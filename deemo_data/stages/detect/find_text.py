"""FindText: a box for every line of text in the picture, such as a name on a banner, a caption or a badge.

In:  the pictures of the clip. Out: text boxes, in the same format as face boxes (tracks/faces.py); mask_video.py covers them.
The detector runs now and then, more often where the text changes; tracks/linking.py fills the frames between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks import linking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.media.frames import Frame


PREVIEW_PX = 160  # longer side of the small picture by which changes are found
MAX_STILL_CHANGE_GREY_LEVELS = 6  # the picture stands still if no pixel of the small one changes by more


@dataclass(frozen=True)
class FindText:
    """Makes `text_boxes` (tracks.faces.FACE_COLUMNS): an upright box around every line of text, in every frame.

    detect |x              x        x   x x x              x|    every `every_ms`, unless the picture stands still; then halfway
    link   |               o--------o---o-o-o--------------o|    between two results that differ, again and again; lines are
    hold   |        <------|                                |    linked, gaps bridged, and the box held on at both ends

    So a banner that fades in is covered before it can be read, and a banner that slides is followed frame by frame.
    Held boxes do not end at a cut, because a caption often stays over several shots.
    """

    detector: Literal["ppocr-detector-090f04", "none"] = "ppocr-detector-090f04"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.6  # lines of text score 0.7 and more; cloth, hands and leaves less
    longest: Annotated[int, Field(ge=128, le=4096)] = 960  # px of the longer side of the detector's input
    coarse: Annotated[int, Field(ge=0, le=4096)] = 480  # the same for a second pass that finds large letters; 0: no second pass
    every_ms: Annotated[int, Field(ge=0, le=2000)] = 500  # 0 for every frame
    bridge_ms: Annotated[int, Field(ge=0)] = 1000  # a gap up to this long is filled
    hold_ms: Annotated[int, Field(ge=0)] = 500  # how long a box is held before its first detection and after its last
    least: Annotated[int, Field(ge=0)] = 6  # px: lines of less height cannot be read
    highest: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the picture's height: higher boxes are leaves or cloth
    margin: Annotated[float, Field(ge=0, le=2)] = 0.05  # room around a line, as a share of its height

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid")
    makes: ClassVar[dict[str, str]] = {"text_boxes": "text_boxes.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks import faces

        rows: list[linking.Row] = []
        if self.detector != "none":
            fps = float(clip.grid.fps)
            tracks = linking.link_detections(self._detect_lines(clip), [], bridge=round(self.bridge_ms / 1000 * fps))
            rows = linking.fill_gaps(tracks, clip.num_frames, hold=round(self.hold_ms / 1000 * fps), cuts=[])
        boxes = linking.rows_to_table(rows)
        for side, limit in (("x", clip.grid.width), ("y", clip.grid.height)):
            boxes[[f"{side}0", f"{side}1"]] = boxes[[f"{side}0", f"{side}1"]].clip(0, limit)
        faces.write_faces(boxes, out / self.makes["text_boxes"])
        return {}

    def _detect_lines(self, clip: Clip) -> dict[int, NDArray[np.float32]]:
        """{frame: (n, 5) boxes in source pixels} for the frames with a detection."""
        import numpy as np

        from deemo_data.media.frames import read_frames

        every = max(1, round(self.every_ms / 1000 * float(clip.grid.fps)))
        detect = self._detector(clip)
        detections: dict[int, NDArray[np.float32]] = {}
        since_last: list[Frame] = []
        previous: NDArray[np.int16] | None = None
        last = -1
        for frame in read_frames(clip):
            since_last.append(frame)
            if frame.index % every and frame.index != clip.num_frames - 1:
                continue
            preview = frame.bgr(*_input_size(clip, PREVIEW_PX)).astype(np.int16)
            if previous is not None and np.abs(preview - previous).max() <= MAX_STILL_CHANGE_GREY_LEVELS:
                detections[frame.index] = detections[last]
            else:
                detections[frame.index], previous = detect(frame), preview
                if last >= 0:
                    refine_between(detections, last, frame.index, {f.index: f for f in since_last}, detect)
            last = frame.index
            since_last.clear()
        return dict(sorted(detections.items()))

    def _detector(self, clip: Clip) -> Callable[[Frame], NDArray[np.float32]]:
        """A function from a frame to boxes (n, 5) in source pixels."""
        import numpy as np

        from deemo_data.models.runtime.boxes import suppress_overlaps
        from deemo_data.models.text import ocr

        net = ocr.load(self.detector)
        grid = clip.grid
        sizes = {_input_size(clip, longest) for longest in (self.longest, self.coarse) if longest}
        limit = np.array([grid.width, grid.height] * 2, np.float32)

        def detect(frame: Frame) -> NDArray[np.float32]:
            passes = []
            for width, height in sorted(sizes):
                scale = np.array([grid.width / width, grid.height / height] * 2 + [1], np.float32)
                passes.append(ocr.detect(net, frame.bgr(width, height), self.threshold) * scale)
            boxes = np.concatenate(passes)
            boxes = boxes[suppress_overlaps(boxes, 0.5)]
            heights = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
            room = self.margin * heights[:, None]
            boxes[:, :4] = np.clip(boxes[:, :4] + np.concatenate([-room, -room, room, room], axis=1), 0, limit)
            return boxes[(heights >= self.least) & (heights <= self.highest * grid.height)]

        return detect


def _input_size(clip: Clip, longest: int) -> tuple[int, int]:
    from deemo_data.models.text import ocr

    return ocr.choose_input_size(clip.grid.width, clip.grid.height, longest)


def refine_between(
    detections: dict[int, NDArray[np.float32]],
    first: int,
    last: int,
    frames: dict[int, Frame],
    detect: Callable[[Frame], NDArray[np.float32]],
) -> None:
    """Detect halfway between two frames whose boxes differ, until neighbours agree or no frame lies between them.

    Adds to `detections`, in place.
    """
    if last - first < 2 or not linking.detections_differ(detections[first], detections[last]):
        return
    middle = (first + last) // 2
    detections[middle] = detect(frames[middle])
    refine_between(detections, first, middle, frames, detect)
    refine_between(detections, middle, last, frames, detect)
