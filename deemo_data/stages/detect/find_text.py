"""FindText: a box for every line of text in the picture, such as a name on a banner, a caption or a badge.

In:  the pictures of the clip. Out: text boxes, in the same format as face boxes (tracks/faces.py); mask_video.py covers them.
The detector runs now and then, more often where the text changes; tracks/linking.py fills the frames between.

Shown small, a row of pictures looks like a line of large letters to the detector: a video call with 25 people was covered from
edge to edge. Real lines of large letters score about 0.93, and are found at every size at which they are shown. So where large
lines without such a score would cover much of the picture, they are looked at again, at smaller sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts, Grid
from deemo_data.errors import StageError
from deemo_data.notices import Notice
from deemo_data.tracks import linking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.media.frames import Frame


SURE_SCORE = 0.93  # a large line with this score is text
CONFIRMED_SCORE = 0.8  # a large line with this score is text if it is found again at all of SMALLER_SIZES
SMALL_LINE_PX = 16  # in the detector's input: where lines this low are found, there may be others that are missed
LARGE_LINE_PX = 32  # in the detector's input
SMALLER_SIZES = (0.5, 0.58, 0.67, 0.75, 0.83)  # of the size at which a line was found
MIN_FOUND_AGAIN = 0.5  # share of a line that lines of about its height cover
ALIKE_HEIGHTS = 1.67  # times as high
TOLD_SHARE = 0.25  # of the picture, on average: text that covers more is told
SHARE_CELLS = 180  # rows of cells by which the covered share is counted
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
    closest: Annotated[int, Field(ge=0, le=4096)] = 1920  # for a third pass, where the first found small lines; 0: no third pass
    every_ms: Annotated[int, Field(ge=0, le=2000)] = 500  # 0 for every frame
    bridge_ms: Annotated[int, Field(ge=0)] = 1000  # a gap up to this long is filled
    hold_ms: Annotated[int, Field(ge=0)] = 500  # how long a box is held before its first detection and after its last
    least: Annotated[int, Field(ge=0)] = 6  # px: lines of less height cannot be read
    highest: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the picture's height: higher boxes are leaves or cloth
    margin: Annotated[float, Field(ge=0, le=2)] = 0.05  # room around a line, as a share of its height
    doubtful: Annotated[float, Field(ge=0, le=1)] = 0.12  # share of the picture: large lines that cover more are looked at again
    least_left: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of the picture, on average: a clip with less left fails

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid")
    makes: ClassVar[dict[str, str]] = {"text_boxes": "text_boxes.parquet"}
    tells: ClassVar[tuple[str, ...]] = ("text_share", "find_text_notices")

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
        share, largest = measure_shares(faces.boxes_by_frame(boxes), clip)
        if 1 - share < self.least_left:
            raise StageError(
                f"clip {clip.id}: boxes over text cover {share:.0%} of the picture on average",
                "Leave it out, or set [find_text] least_left = 0 to have it all the same",
            )
        told = f"Boxes over text cover {share:.0%} of the picture on average and {largest:.0%} at most: {1 - share:.0%} is left."
        notices = [Notice("much_text_covered", told).to_fact()] if share >= TOLD_SHARE else []
        return {"text_share": round(share, 4), "find_text_notices": notices}

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
        sizes = sorted({_input_size(clip, longest) for longest in (self.longest, self.coarse) if longest})
        closer = _input_size(clip, self.closest) if self.closest else (0, 0)
        limit = np.array([grid.width, grid.height] * 2, np.float32)

        def look(frame: Frame, width: int, height: int) -> NDArray[np.float32]:
            scale = np.array([grid.width / width, grid.height / height] * 2 + [1], np.float32)
            return ocr.detect(net, frame.bgr(width, height), self.threshold) * scale

        def drop_doubtful(frame: Frame, boxes: NDArray[np.float32], widths: NDArray[np.int64]) -> NDArray[np.float32]:
            large = measure_heights(boxes) * widths / grid.width >= LARGE_LINE_PX
            doubtful = large & (boxes[:, 4] < SURE_SCORE)
            if mask_boxes(boxes[doubtful], grid).mean() <= self.doubtful:
                return boxes
            kept = ~doubtful | (boxes[:, 4] >= CONFIRMED_SCORE)
            for width, height in sorted({*sizes, closer}):
                asked = doubtful & kept & (widths == width)
                for share in SMALLER_SIZES:
                    if asked.any():
                        smaller = look(frame, round(width * share), round(height * share))
                        asked[asked] = measure_found_again(boxes[asked], smaller, grid) >= MIN_FOUND_AGAIN
                kept &= asked | ~doubtful | (widths != width)
            return boxes[kept]

        def detect(frame: Frame) -> NDArray[np.float32]:
            shown = list(sizes)
            passes = [look(frame, *size) for size in shown]
            if closer > shown[-1] and (measure_heights(passes[-1]) * shown[-1][0] / grid.width < SMALL_LINE_PX).any():
                shown.append(closer)
                passes.append(look(frame, *closer))
            boxes = np.concatenate(passes)
            widths = np.repeat([width for width, _ in shown], [len(p) for p in passes])
            best = suppress_overlaps(boxes, 0.5)
            boxes = drop_doubtful(frame, boxes[best], widths[best])
            heights = measure_heights(boxes)
            room = self.margin * heights[:, None]
            boxes[:, :4] = np.clip(boxes[:, :4] + np.concatenate([-room, -room, room, room], axis=1), 0, limit)
            return boxes[(heights >= self.least) & (heights <= self.highest * grid.height)]

        return detect


def _input_size(clip: Clip, longest: int) -> tuple[int, int]:
    from deemo_data.models.text import ocr

    return ocr.choose_input_size(clip.grid.width, clip.grid.height, longest)


def measure_heights(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The heights of lines (n, 4+): of upright lines, their width."""
    import numpy as np

    return np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])


def mask_boxes(boxes: Iterable[NDArray[np.floating]], grid: Grid) -> NDArray[np.bool_]:
    """Which cells of a picture boxes (x0, y0, x1, y1, in pixels) cover: (180, 180 * width / height)."""
    import numpy as np

    scale = SHARE_CELLS / grid.height
    mask = np.zeros((SHARE_CELLS, max(1, round(grid.width * scale))), bool)
    for x0, y0, x1, y1 in (np.rint(np.clip(box[:4], 0, None) * scale).astype(int) for box in boxes):
        mask[y0:y1, x0:x1] = True
    return mask


def measure_found_again(lines: NDArray[np.float32], others: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    """Of each line (n, 5), the share that other lines of about its height cover: (n,)."""
    import numpy as np

    heights = measure_heights(others)
    shares = []
    for line, height in zip(lines, measure_heights(lines), strict=True):
        alike = others[(heights < height * ALIKE_HEIGHTS) & (heights > height / ALIKE_HEIGHTS)]
        own = mask_boxes([line], grid)
        shares.append((own & mask_boxes(alike, grid)).sum() / max(1, own.sum()))
    return np.array(shares)


def measure_shares(boxes: Mapping[int, Iterable[NDArray[np.floating]]], clip: Clip) -> tuple[float, float]:
    """Of the picture, the share under boxes: (on average, in the frame with most)."""
    grid = clip.grid
    shares = [float(mask_boxes(of_frame, grid).mean()) for of_frame in boxes.values()]
    return sum(shares) / max(1, clip.num_frames), max(shares, default=0.0)


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
