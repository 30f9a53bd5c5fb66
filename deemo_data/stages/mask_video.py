"""Cover every face box: the picture is a function of the boxes, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.errors import StageError
from deemo_data.media import Preset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILL = {"y": 96, "u": 128, "v": 128}  # a dull grey, limited range


@dataclass(frozen=True)
class MaskVideo:
    """Makes `masked`: the clip's frames with a shape over every box, H.264, no sound."""

    mode: Literal["fill", "mosaic", "blur"] = "fill"
    shape: Literal["ellipse", "box"] = "ellipse"
    grow: Annotated[float, Field(ge=1, le=3)] = 1.35  # width and height of the shape, as multiples of the box's
    crf: Annotated[int, Field(ge=0, le=40)] = 21
    preset: Preset = "veryfast"

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "faces")
    makes: ClassVar[dict[str, str]] = {"masked": "masked.mp4"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data import media, tracks

        boxes = tracks.boxes_by_frame(tracks.read_faces(clip.path("faces")))

        def masked() -> Iterator[NDArray[np.uint8]]:
            for frame in media.frames(clip):
                yuv = frame.yuv()
                if frame.index in boxes:
                    yuv = yuv.copy() if not yuv.flags.writeable else yuv
                    for box in boxes[frame.index]:
                        self.cover(yuv, box)
                yield yuv

        count = media.write_video(out / self.makes["masked"], masked(), clip.grid, self.crf, self.preset)
        if count != clip.num_frames:
            raise StageError(f"clip {clip.id}: {clip.num_frames} frames expected, {count} decoded")
        return {}

    def cover(self, yuv: NDArray[np.uint8], box: NDArray[np.floating]) -> None:
        """Cover one box (x0, y0, x1, y1 in pixels), in place, on a planar 4:2:0 picture."""
        import numpy as np

        height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        rx, ry = (box[2] - box[0]) / 2 * self.grow, (box[3] - box[1]) / 2 * self.grow
        x0, x1 = (int(np.clip(v, 0, width)) // 2 * 2 for v in (cx - rx, cx + rx + 2))
        y0, y1 = (int(np.clip(v, 0, height)) // 2 * 2 for v in (cy - ry, cy + ry + 2))
        if min(x1 - x0, y1 - y0) < 2 or min(rx, ry) <= 0:
            return
        xs, ys = np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5
        inside: Any
        if self.shape == "ellipse":
            inside = ((xs - cx) / rx)[None, :] ** 2 + ((ys - cy) / ry)[:, None] ** 2 <= 1
        else:
            inside = np.ones((y1 - y0, x1 - x0), bool)
        h, w = (y1 - y0) // 2, (x1 - x0) // 2
        coarse = inside.reshape(h, 2, w, 2).any((1, 3))  # a chroma sample goes when any of its four pixels does
        chroma = yuv[height:].reshape(2, height // 2, width // 2)
        planes = {
            "y": (yuv[y0:y1, x0:x1], inside),
            "u": (chroma[0, y0 // 2 : y1 // 2, x0 // 2 : x1 // 2], coarse),
            "v": (chroma[1, y0 // 2 : y1 // 2, x0 // 2 : x1 // 2], coarse),
        }
        for name, (plane, mask) in planes.items():
            plane[mask] = FILL[name] if self.mode == "fill" else self._disguise(plane)[mask]

    def _disguise(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        import cv2

        height, width = plane.shape
        if self.mode == "blur":  # as deface does it: a box as wide as half the area
            return cv2.blur(plane, (max(1, width // 2), max(1, height // 2)))  # type: ignore[return-value]
        small = cv2.resize(plane, (8, 8), interpolation=cv2.INTER_AREA)  # a mosaic of 8 x 8 tiles, however large
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]
