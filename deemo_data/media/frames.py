"""Reads the frames of a clip on its grid: frame k is the same picture for every stage, on every machine.

A source may have uneven or missing time stamps. Its grid (deemo_data/clip.py) has a constant frame rate, and `read_frames`
gives exactly one picture per grid frame: the last source picture that is shown by the middle of that frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, Grid
from deemo_data.errors import MediaError
from deemo_data.media.container import SEEKABLE_FORMATS, decode_frames, find_video_stream, open_container, seek_before

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray


COLOUR_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # RGB to YUV: number in files (ITU-T H.273) -> in libswscale


@dataclass(frozen=True)
class Frame:
    """One picture of a clip. The methods return it upright, as an array.

    index    counts from 0 at the clip's first frame
    picture  as decoded; it may lie on its side
    scalers  converters, kept from frame to frame: {(width, height, pixel format): converter}
    """

    index: int
    picture: av.VideoFrame
    grid: Grid
    scalers: dict[tuple[int, int, str], Any]

    def bgr(self, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, channels blue, green, red; the size of the grid when no size is given."""
        return self._convert("bgr24", width or self.grid.width, height or self.grid.height)

    def rgb(self, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, channels red, green, blue; the size of the grid when no size is given."""
        return self._convert("rgb24", width or self.grid.width, height or self.grid.height)

    def yuv(self) -> NDArray[np.uint8]:
        """(height * 3 / 2, width) uint8: planar 4:2:0, limited range, luma on top, in the default colour matrix of the size."""
        import numpy as np

        flat = self._convert("yuv420p", self.grid.width, self.grid.height, turn=False)
        turns = (self.picture.rotation // 90) % 4
        if not turns:
            return flat
        h, w = (self.grid.height, self.grid.width) if turns == 2 else (self.grid.width, self.grid.height)
        planes = flat[:h], *flat[h:].reshape(2, h // 2, w // 2)
        turned = [np.ascontiguousarray(np.rot90(p, turns)).ravel() for p in planes]
        return np.concatenate(turned).reshape(self.grid.height * 3 // 2, self.grid.width)

    def _convert(self, layout: str, width: int, height: int, turn: bool = True) -> NDArray[np.uint8]:
        import av
        import numpy as np
        from av.video.reformatter import ColorRange, Interpolation

        turns = (self.picture.rotation // 90) % 4
        if turns % 2:
            width, height = height, width
        scaler = self.scalers.setdefault((width, height, layout), av.video.reformatter.VideoReformatter())
        default, planar = default_colour_matrix(self.grid.width, self.grid.height), layout == "yuv420p"
        scaled = scaler.reformat(
            self.picture, width, height, layout, interpolation=Interpolation.BILINEAR,
            src_colorspace=COLOUR_MATRICES.get(int(self.picture.colorspace), default), dst_colorspace=default if planar else None,
            dst_color_range=ColorRange.MPEG if planar else ColorRange.JPEG,
        )  # fmt: skip
        array: NDArray[np.uint8] = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(array, turns)) if turn and turns else array


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
    scalers: dict[tuple[int, int, str], Any] = {}
    last = begin - 1
    for shown_from, picture in _pictures_on_grid(path, grid, begin, end):
        for index in range(last + 1, min(shown_from, end)):
            if (index - begin) % every == 0:
                yield Frame(index - begin, picture, grid, scalers)
        last = max(last, min(shown_from, end) - 1)


def _pictures_on_grid(path: Path, grid: Grid, begin: int, end: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """(first grid frame that no longer shows the picture, picture), from a seek if possible, otherwise from the start."""
    for seek in (True, False):
        with open_container(path) as container:
            stream = find_video_stream(container, path)
            target = grid.zero + begin / grid.fps - 3
            seek = seek and target > grid.zero and container.format.name.startswith(SEEKABLE_FORMATS)
            if seek and not seek_before(container, stream, target):
                continue
            before: av.VideoFrame | None = None
            since = begin
            for time, picture in decode_frames(container, stream):
                since = math.ceil((time - grid.zero) * grid.fps - Fraction(1, 2))
                if before is None and seek and since > begin:
                    break  # the seek went too far
                if since > begin:
                    yield since, before or picture
                before = picture
                if since >= end:
                    return
            else:
                if before is None or since < min(end, grid.frames) - 1 - math.ceil(grid.fps):
                    raise MediaError(f"{path.name} ends at frame {since} of {end}: it is damaged or was cut off")
                yield end, before
                return
