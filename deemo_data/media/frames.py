"""Reads the frames of a clip on its grid: frame k is the same picture for every stage, on every machine.

A source may have uneven or missing time stamps. Its grid (deemo_data/clip.py) has a constant frame rate, and `read_frames`
gives exactly one picture per grid frame: the last source picture that is shown by the middle of that frame.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deemo_data.clip import Clip, Grid, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media.container import SEEKABLE_FORMATS, decode_frames, find_video_stream, open_container, seek_before
from deemo_data.media.filters import MATRICES, deinterlace_frames, map_colours

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray


MAX_TILT_DEGREES = 10  # a display matrix this near to a right angle means it
MIN_BAR_PIXELS, MIN_BAR_SHARE = 3, 0.02  # a picture that misses the shape of the grid by less is stretched


def read_display_matrix(picture: av.VideoFrame, before: bytes | None) -> bytes | None:
    """The display matrix that holds for a decoded picture: its own, otherwise that of the picture before.

    Containers have one for the whole film. In H.264 it may stand at the key frames only, and holds until the next.
    """
    from av.sidedata.sidedata import Type

    kept: Any = picture.side_data
    return next((bytes(d) for d in kept if d.type == Type.DISPLAYMATRIX), before)


def parse_display_matrix(data: bytes | None) -> tuple[int, bool] | None:
    """How a picture with this display matrix becomes upright: (quarter turns to the left, whether it is mirrored before).

    data  nine numbers of 32 bits, as FFmpeg keeps them; None counts as upright
    There are eight such matrices. None for one that means another angle.
    """
    if data is None:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("9i", data[:36])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    if not (a or b):
        return 0, False
    angle = math.degrees(math.atan2(-b, a))
    turns = round(angle / 90)
    return (turns % 4, mirrored) if abs(angle - 90 * turns) <= MAX_TILT_DEGREES else None


@dataclass(frozen=True)
class Frame:
    """One picture of a clip. The methods return it upright, as an array.

    index    counts from 0 at the clip's first frame
    picture  as decoded; it may lie on its side, be mirrored, and have another size than the first
    scalers  converters and tables of colours, kept from frame to frame
    pixel    width / height of a pixel of the picture
    orientation  how it becomes upright, see `parse_display_matrix`
    """

    index: int
    picture: av.VideoFrame
    grid: Grid
    scalers: dict[Any, Any]
    pixel: Fraction = Fraction(1)
    orientation: tuple[int, bool] = (0, False)

    @cached_property
    def shown(self) -> av.VideoFrame:
        """The picture in the colours of an ordinary display (media/filters.py); HDR is an RGB picture here."""
        return map_colours(self.picture, self.grid.white or 203, self.scalers)

    def bgr(self, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, channels blue, green, red; the size of the grid when no size is given."""
        return self._convert_upright("bgr24", width, height)

    def rgb(self, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, channels red, green, blue; the size of the grid when no size is given."""
        return self._convert_upright("rgb24", width, height)

    def yuv(self) -> NDArray[np.uint8]:
        """(height * 3 / 2, width) uint8: planar 4:2:0, limited range, luma on top, in the default colour matrix of the size."""
        import numpy as np

        planes = [self._turn(p) for p in self._convert("yuv420p", self.grid.width, self.grid.height)]
        return np.concatenate([p.ravel() for p in planes]).reshape(self.grid.height * 3 // 2, self.grid.width)

    def _convert_upright(self, layout: str, width: int, height: int) -> NDArray[np.uint8]:
        [array] = self._convert(layout, width or self.grid.width, height or self.grid.height)
        return self._turn(array)

    def _turn(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        import numpy as np

        turns, mirrored = self.orientation
        if not turns and not mirrored:
            return array
        return np.ascontiguousarray(np.rot90(array[:, ::-1] if mirrored else array, turns))

    def _convert(self, layout: str, width: int, height: int) -> list[NDArray[np.uint8]]:
        """The planes of the picture as it lies in the file, so large that it has that width and height once it is upright."""
        import av
        from av.video.reformatter import ColorRange, Interpolation

        if self.orientation[0] % 2:
            width, height = height, width
        planar = layout == "yuv420p"
        inner_width, inner_height = self._fit(width, height)
        scaler = self.scalers.setdefault((width, height, layout), av.video.reformatter.VideoReformatter())
        default = default_colour_matrix(self.grid.width, self.grid.height)
        scaled = scaler.reformat(
            self.shown, inner_width, inner_height, layout, interpolation=Interpolation.BILINEAR,
            src_colorspace=MATRICES.get(int(self.shown.colorspace), default), dst_colorspace=default if planar else None,
            dst_color_range=ColorRange.MPEG if planar else ColorRange.JPEG,
        )  # fmt: skip
        array: NDArray[np.uint8] = scaled.to_ndarray()
        if not planar:
            return [_add_bars(array, width, height, 0)]
        luma, chroma = array[:inner_height], array[inner_height:].reshape(2, inner_height // 2, inner_width // 2)
        return [_add_bars(luma, width, height, 16), *(_add_bars(c, width // 2, height // 2, 128) for c in chroma)]

    def _fit(self, width: int, height: int) -> tuple[int, int]:
        """The size of the picture inside `width` x `height`; smaller, and even, only where its shape is not that of the grid."""
        wide, high = self.picture.width * self.pixel, Fraction(self.picture.height)
        grid = (self.grid.width, self.grid.height) if self.orientation[0] % 2 == 0 else (self.grid.height, self.grid.width)
        scale = min(grid[0] / wide, grid[1] / high)
        inner = wide * scale, high * scale
        if all(g - i < max(MIN_BAR_PIXELS, g * MIN_BAR_SHARE) for g, i in zip(grid, inner, strict=True)):
            return width, height
        fitted = (round_half_up(w * i / g / 2) * 2 for w, i, g in zip((width, height), inner, grid, strict=True))
        return max(2, next(fitted)), max(2, next(fitted))


def _add_bars(array: NDArray[np.uint8], width: int, height: int, fill: int) -> NDArray[np.uint8]:
    """The picture in the middle of a larger one, at even pixels where both are even."""
    import numpy as np

    if array.shape[:2] == (height, width):
        return array
    out = np.full((height, width, *array.shape[2:]), fill, np.uint8)
    y, x = (height - array.shape[0]) // 2, (width - array.shape[1]) // 2
    out[y : y + array.shape[0], x : x + array.shape[1]] = array
    return out


def default_colour_matrix(width: int, height: int) -> int:
    """The colour matrix that players assume: BT.709 (1) above the size of standard television, otherwise BT.601 (5)."""
    return 1 if min(width, height) > 576 else 5


def read_frames(clip: Clip, every: int = 1) -> Iterator[Frame]:
    """The frames of a clip on the grid of its source: exactly `clip.num_frames`, or each `every`-th of them.

    Needs the file "source" and the fact "grid". Where the container allows it, reading starts with a seek; the pictures are
    the same as those decoded from the start. Raises MediaError when the file ends too early.
    """
    grid, path = clip.grid, clip.path("source")
    begin, end = clip.first_frame, clip.first_frame + clip.num_frames
    scalers: dict[Any, Any] = {}
    last = begin - 1
    for shown_from, (picture, pixel, orientation) in _pictures_on_grid(path, grid, begin, end):
        for index in range(last + 1, min(shown_from, end)):
            if (index - begin) % every == 0:
                yield Frame(index - begin, picture, grid, scalers, pixel, orientation)
        last = max(last, min(shown_from, end) - 1)


class _Shown(NamedTuple):
    """A decoded picture with what it takes to show it: see the fields of `Frame`."""

    picture: av.VideoFrame
    pixel: Fraction
    orientation: tuple[int, bool]


def _pictures_on_grid(path: Path, grid: Grid, begin: int, end: int) -> Iterator[tuple[int, _Shown]]:
    """(first grid frame that no longer shows the picture, picture), from a seek if possible, otherwise from the start."""
    for seek in (True, False):
        with open_container(path) as container:
            stream = find_video_stream(container, path, grid.video_track)
            target = grid.zero + begin / grid.fps - 3
            seek = seek and target > grid.zero and not grid.joins and container.format.name.startswith(SEEKABLE_FORMATS)
            if seek and not seek_before(container, stream, target):
                continue
            pixel, matrix = stream.sample_aspect_ratio or Fraction(1), None
            before: _Shown | None = None
            since = begin
            decoded = decode_frames(container, stream, grid.joins, None if seek else grid.zero)
            for time, picture in deinterlace_frames(decoded, grid.fields):
                matrix = read_display_matrix(picture, matrix)
                since = math.ceil((time - grid.zero) * grid.fps - Fraction(1, 2))
                if before is None and seek and since > begin:
                    break  # the seek went too far
                shown = _Shown(picture, pixel, parse_display_matrix(matrix) or (0, False))
                if since > begin:
                    yield since, before or shown
                before = shown
                if since >= end:
                    return
            else:
                if before is None and seek:
                    continue  # no picture after the seek has a time stamp
                if before is None or since < min(end, grid.frames - grid.still_frames) - 1 - math.ceil(grid.fps):
                    raise MediaError(f"{path.name} ends at frame {since} of {end}: it is damaged or was cut off")
                yield end, before
                return
