"""MaskVideo: covers every face, and shows hands over a face again where both detection passes agree on them.

In:  the source's pictures, boxes of faces and text, boxes of the data owner, hands. Out: H.264 without sound.
The masked picture depends on the source picture, these boxes and hands, and the settings, and on nothing else.
"""

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

    Pair = tuple[Hand, Hand | None]  # a hand of one detection pass, and the same hand of the other pass

FILL_YUV = {"y": 96, "u": 128, "v": 128}  # dark grey, limited range
Shape = Literal["ellipse", "box"]
FACE_BOX_HEIGHT_M = 0.2
MIN_HAND_SCALE, MAX_HAND_SCALE = 0.6, 3.0  # pixels per metre of a hand over those of the face; outside, it is part of the face


@dataclass(frozen=True)
class MaskVideo:
    """Makes `masked`: the clip's frames with a shape over every box, H.264, no sound.

    Where a hand lies over a face, hands = "shown" makes it visible again:

    1. cover     the shape over the face box                          (no source pixel)
    2. draw      a flat outlined hand, where either pass found one    (no source pixel; "drawn" ends here)
    3. show      source pixels where the bones of both passes overlap, if the passes agree and the hand is slow
    4. cover     boxes over text and boxes of the data owner: filled, on top of everything above

    The two detection passes are over the frame and over its mirror image (file `hand_looks`).
    """

    mode: Literal["fill", "mosaic", "blur"] = "fill"
    shape: Shape = "ellipse"
    grow: Annotated[float, Field(ge=1, le=3)] = 1.35  # width and height of the shape, as multiples of the box's
    hands: Literal["shown", "drawn", "hidden"] = "shown"
    agree_mm: Annotated[float, Field(gt=0, le=100)] = 15.0  # how far apart the two passes may place a hand's points, to show it
    fast_mm: Annotated[float, Field(gt=0, le=1000)] = 25.0  # per frame: a faster hand is blurred, so it is drawn instead
    crf: Annotated[int, Field(ge=0, le=40)] = 21
    preset: Preset = "veryfast"  # of libx264
    encoder: Encoder = "libx264"  # or h264_nvenc, on NVIDIA GPUs: `crf` is its cq

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "faces", "hand_looks", "text_boxes", "drawn")
    makes: ClassVar[dict[str, str]] = {"masked": "masked.mp4"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.media import encode, frames
        from deemo_data.tracks.faces import boxes_by_frame, read_faces

        faces, text = (boxes_by_frame(read_faces(clip.path(name))) for name in ("faces", "text_boxes"))
        plain = owner_boxes_by_frame(clip)
        for frame, boxes in text.items():
            plain.setdefault(frame, []).extend(boxes)
        pairs = self.pair_hands(clip) if self.hands != "hidden" else {}

        def mask_frames() -> Iterator[NDArray[np.uint8]]:
            for frame in frames.read_frames(clip):
                yuv = frame.yuv()
                if frame.index in faces or frame.index in plain:
                    source, yuv = yuv, yuv.copy()
                    for box in faces.get(frame.index, ()):
                        self.cover_face(yuv, box)
                    if frame.index in pairs and frame.index in faces:
                        self.restore_hands(yuv, source, faces[frame.index], pairs[frame.index])
                    for box in plain.get(frame.index, ()):
                        cover_box(yuv, box)
                yield yuv

        count = encode.write_video(out / self.makes["masked"], mask_frames(), clip.grid, self.crf, self.preset, self.encoder)
        if count != clip.num_frames:
            raise StageError(f"clip {clip.id}: {clip.num_frames} frames expected, {count} decoded")
        return {}

    def cover_face(self, yuv: NDArray[np.uint8], box: NDArray[np.floating]) -> None:
        """Cover one face box (x0, y0, x1, y1 in pixels), in place, on a planar 4:2:0 picture."""
        cover_box(yuv, box, self.mode, self.shape, self.grow)

    def pair_hands(self, clip: Clip) -> dict[int, list[Pair]]:
        """{frame: pairs of a hand and the same hand in the other detection pass, or None}."""
        from deemo_data.tracks.hands import follow_hands, pair_hands, read_hands

        grid = clip.grid
        first, second = (follow_hands(hands) for hands in read_hands(clip.path("hand_looks"), grid.width, grid.height))
        return {f: pair_hands(first.get(f, []), second.get(f, []), self.agree_mm) for f in {*first, *second}}

    def restore_hands(
        self, yuv: NDArray[np.uint8], source: NDArray[np.uint8], boxes: NDArray[np.float32], pairs: list[Pair]
    ) -> NDArray[np.bool_]:
        """Draw or show hands over the covered faces, in place. Returns (height, width): the pixels that show the source."""
        import numpy as np

        from deemo_data.tracks import hand_drawing

        height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
        covered, shown = (np.zeros((height, width), bool) for _ in range(2))
        for box in boxes:
            if (place := rasterise_shape(box, self.shape, self.grow, height, width)) is not None:
                x0, y0, inside = place
                covered[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]] |= inside
        y, u, v = split_planes(yuv)
        for hand, other in pairs:
            luma, drawn = hand_drawing.draw_hand(hand, height, width)
            drawn &= covered
            if not drawn.any():
                continue
            coarse = halve_mask(drawn)
            y[drawn], u[coarse], v[coarse] = luma[drawn], hand_drawing.SKIN_YUV["u"], hand_drawing.SKIN_YUV["v"]
            shown &= ~drawn
            if other is not None and self.can_show(hand, other, boxes):
                shown |= hand_drawing.mask_bones(hand, height, width) & hand_drawing.mask_bones(other, height, width) & covered
        chroma = ~halve_mask(~shown)  # a chroma sample is shown if all of its four pixels are
        for plane, original, mask in zip(split_planes(yuv), split_planes(source), (shown, chroma, chroma), strict=True):
            plane[mask] = original[mask]
        return shown

    def can_show(self, hand: Hand, other: Hand, boxes: NDArray[np.float32]) -> bool:
        """Whether a hand that both passes place alike may show source pixels over the faces that it lies on."""
        if self.hands != "shown" or (hand.filled and other.filled) or max(hand.motion, other.motion) >= self.fast_mm:
            return False
        low, high = hand.points.min(axis=0), hand.points.max(axis=0)
        faces = boxes[(boxes[:, :2] <= high).all(axis=1) & (boxes[:, 2:4] >= low).all(axis=1)]
        scales = FACE_BOX_HEIGHT_M * hand.scale / (faces[:, 3] - faces[:, 1]).clip(1)
        return bool(((scales > MIN_HAND_SCALE) & (scales < MAX_HAND_SCALE)).all())


def owner_boxes_by_frame(clip: Clip) -> dict[int, list[NDArray[np.float32]]]:
    """{frame: boxes in pixels} that the data owner drew, for every frame that overlaps a box's time span."""
    import numpy as np

    grid = clip.grid
    size = np.array([grid.width, grid.height] * 2, np.float32)
    boxes: dict[int, list[NDArray[np.float32]]] = {}
    for drawn in clip.facts["drawn"]:
        box = np.array(drawn["box"], np.float32) * size
        for f in range(clip.num_frames):
            begin, end = (grid.ms_at(clip.first_frame + f + n) for n in (0, 1))
            if begin < drawn["end_ms"] and end > drawn["start_ms"]:
                boxes.setdefault(f, []).append(box)
    return boxes


def split_planes(yuv: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Views of the planes of a 4:2:0 picture: luma (h, w) and two of chroma (h / 2, w / 2)."""
    height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
    u, v = yuv[height:].reshape(2, height // 2, width // 2)
    return yuv[:height], u, v


def halve_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask (even height and width) at chroma resolution: true where any of the four pixels is."""
    # numpy's any() over two axes takes 20 times as long
    return mask[::2, ::2] | mask[::2, 1::2] | mask[1::2, ::2] | mask[1::2, 1::2]


def rasterise_shape(
    box: NDArray[np.floating], shape: Shape, grow: float, height: int, width: int
) -> tuple[int, int, NDArray[np.bool_]] | None:
    """The pixels that a shape over a box covers: left, top (both even), and a mask of even sides. None if it covers nothing."""
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


def cover_box(
    yuv: NDArray[np.uint8], box: NDArray[np.floating], mode: str = "fill", shape: Shape = "box", grow: float = 1.0
) -> None:
    """Cover one box (x0, y0, x1, y1 in pixels), in place, on a planar 4:2:0 picture."""
    if (place := rasterise_shape(box, shape, grow, yuv.shape[0] * 2 // 3, yuv.shape[1])) is None:
        return
    x0, y0, inside = place
    h, w = inside.shape
    coarse = halve_mask(inside)
    y, u, v = split_planes(yuv)
    parts: dict[str, tuple[NDArray[np.uint8], Any]] = {
        "y": (y[y0 : y0 + h, x0 : x0 + w], inside),
        "u": (u[y0 // 2 : (y0 + h) // 2, x0 // 2 : (x0 + w) // 2], coarse),
        "v": (v[y0 // 2 : (y0 + h) // 2, x0 // 2 : (x0 + w) // 2], coarse),
    }
    for name, (plane, mask) in parts.items():
        plane[mask] = FILL_YUV[name] if mode == "fill" else disguise_plane(plane, mode)[mask]


def disguise_plane(plane: NDArray[np.uint8], mode: str) -> NDArray[np.uint8]:
    """The plane blurred (mode "blur") or as a mosaic."""
    import cv2

    height, width = plane.shape
    if mode == "blur":  # as deface does it: with a box half as wide and high as the area
        return cv2.blur(plane, (max(1, width // 2), max(1, height // 2)))  # type: ignore[return-value]
    small = cv2.resize(plane, (8, 8), interpolation=cv2.INTER_AREA)  # a mosaic of 8 x 8 tiles, however large
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]
