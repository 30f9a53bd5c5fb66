"""Find the text in the picture: names on banners, captions, badges; looked for now and then, and held over time."""

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


GLANCE = 160  # px of the longer side of the small picture that tells whether anything has changed
STILL = 6  # grey levels by which no pixel of it may have changed


@dataclass(frozen=True)
class FindText:
    """Makes `text_boxes` (tracks.FACE_COLUMNS): an upright box around every line of text, in every frame.

    look   |x              x        x   x x x              x|    every `every_ms`, unless the picture stands still;
    link   |               o--------o---o-o-o--------------o|    halfway between two looks that differ, again and again;
    hold   |        <------|                                |    lines are linked, gaps bridged, both ends held on

    So a banner that fades in is covered from before it can be read, and one that slides is followed frame by frame.
    Held boxes do not end at a cut: a caption often stands over several shots.
    """

    detector: Literal["ppocr-detector-090f04", "none"] = "ppocr-detector-090f04"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.6  # lines have 0.7 and more; cloth, hands and leaves less
    longest: Annotated[int, Field(ge=128, le=4096)] = 960  # px of the longer side that the detector is shown,
    coarse: Annotated[int, Field(ge=0, le=4096)] = 480  # and once more, for letters that are large; 0 for not
    every_ms: Annotated[int, Field(ge=0, le=2000)] = 500  # 0 for every frame
    bridge_ms: Annotated[int, Field(ge=0)] = 1000  # a line gone for no longer is taken to have been there
    hold_ms: Annotated[int, Field(ge=0)] = 500  # how long a box is held before its first look and after its last
    least: Annotated[int, Field(ge=0)] = 6  # px: lower lines cannot be read
    highest: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the picture's height: what is higher is leaves or cloth, no line
    margin: Annotated[float, Field(ge=0, le=2)] = 0.05  # room around a line, in heights of it

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid")
    makes: ClassVar[dict[str, str]] = {"text_boxes": "text_boxes.parquet"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.tracks import faces

        rows: list[linking.Row] = []
        if self.detector != "none":
            fps = float(clip.grid.fps)
            found = linking.link(self._looks(clip), [], bridge=round(self.bridge_ms / 1000 * fps))
            rows = linking.fill(found, clip.num_frames, hold=round(self.hold_ms / 1000 * fps), cuts=[])
        boxes = linking.table(rows)
        for side, limit in (("x", clip.grid.width), ("y", clip.grid.height)):
            boxes[[f"{side}0", f"{side}1"]] = boxes[[f"{side}0", f"{side}1"]].clip(0, limit)
        faces.write_faces(boxes, out / self.makes["text_boxes"])
        return {}

    def _looks(self, clip: Clip) -> dict[int, NDArray[np.float32]]:
        """{frame looked at: (n, 5) boxes in source pixels}."""
        import numpy as np

        from deemo_data.media.frames import read_frames

        every = max(1, round(self.every_ms / 1000 * float(clip.grid.fps)))
        look = self._detector(clip)
        looks: dict[int, NDArray[np.float32]] = {}
        between: list[Frame] = []
        seen: NDArray[np.int16] | None = None
        last = -1
        for frame in read_frames(clip):
            between.append(frame)
            if frame.index % every and frame.index != clip.num_frames - 1:
                continue
            small = frame.bgr(*_size(clip, GLANCE)).astype(np.int16)
            if seen is not None and np.abs(small - seen).max() <= STILL:
                looks[frame.index] = looks[last]
            else:
                looks[frame.index], seen = look(frame), small
                if last >= 0:
                    halve(looks, last, frame.index, {f.index: f for f in between}, look)
            last = frame.index
            between.clear()
        return dict(sorted(looks.items()))

    def _detector(self, clip: Clip) -> Callable[[Frame], NDArray[np.float32]]:
        """Boxes in source pixels, of a frame."""
        import numpy as np

        from deemo_data.models.runtime.boxes import strongest
        from deemo_data.models.text import ocr

        net = ocr.load(self.detector)
        grid = clip.grid
        sizes = {_size(clip, longest) for longest in (self.longest, self.coarse) if longest}
        limit = np.array([grid.width, grid.height] * 2, np.float32)

        def look(frame: Frame) -> NDArray[np.float32]:
            seen = []
            for width, height in sorted(sizes):
                scale = np.array([grid.width / width, grid.height / height] * 2 + [1], np.float32)
                seen.append(ocr.detect(net, frame.bgr(width, height), self.threshold) * scale)
            found = np.concatenate(seen)
            found = found[strongest(found, 0.5)]
            high = np.minimum(found[:, 2] - found[:, 0], found[:, 3] - found[:, 1])
            room = self.margin * high[:, None]
            found[:, :4] = np.clip(found[:, :4] + np.concatenate([-room, -room, room, room], axis=1), 0, limit)
            return found[(high >= self.least) & (high <= self.highest * grid.height)]

        return look


def _size(clip: Clip, longest: int) -> tuple[int, int]:
    from deemo_data.models.text import ocr

    return ocr.working_size(clip.grid.width, clip.grid.height, longest)


def halve(
    looks: dict[int, NDArray[np.float32]],
    first: int,
    last: int,
    frames: dict[int, Frame],
    look: Callable[[Frame], NDArray[np.float32]],
) -> None:
    """Look halfway between two looks that differ, until neighbours agree or nothing lies between them."""
    if last - first < 2 or not linking.detections_differ(looks[first], looks[last]):
        return
    middle = (first + last) // 2
    looks[middle] = look(frames[middle])
    halve(looks, first, middle, frames, look)
    halve(looks, middle, last, frames, look)
