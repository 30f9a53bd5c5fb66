"""Frames(clip): frame k is the same picture everywhere."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deemo_data.clip import Clip, Grid
from deemo_data.errors import MediaError
from deemo_data.media.container import INDEXED, decode_frames, open_container, video_stream

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray


T = TypeVar("T")
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # from RGB to YUV: as files say it (ITU-T H.273) -> as libswscale does


@dataclass(frozen=True)
class Frame:
    """One picture of a clip, upright. `index` counts from 0 at the clip's start."""

    index: int
    picture: av.VideoFrame
    grid: Grid
    scalers: dict[tuple[int, int, str], Any]

    def bgr(self, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, blue first; full size when no size is given."""
        return self._as("bgr24", width or self.grid.width, height or self.grid.height)

    def rgb(self, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, red first; full size when no size is given."""
        return self._as("rgb24", width or self.grid.width, height or self.grid.height)

    def yuv(self) -> NDArray[np.uint8]:
        """(height * 3 / 2, width) uint8: planar 4:2:0, limited range, luma on top, BT.709 or BT.601 as is usual for the size."""
        import numpy as np

        flat = self._as("yuv420p", self.grid.width, self.grid.height, turn=False)
        turns = (self.picture.rotation // 90) % 4
        if not turns:
            return flat
        h, w = (self.grid.height, self.grid.width) if turns == 2 else (self.grid.width, self.grid.height)
        planes = flat[:h], *flat[h:].reshape(2, h // 2, w // 2)
        turned = [np.ascontiguousarray(np.rot90(p, turns)).ravel() for p in planes]
        return np.concatenate(turned).reshape(self.grid.height * 3 // 2, self.grid.width)

    def _as(self, layout: str, width: int, height: int, turn: bool = True) -> NDArray[np.uint8]:
        import av
        import numpy as np
        from av.video.reformatter import ColorRange, Interpolation

        turns = (self.picture.rotation // 90) % 4
        if turns % 2:
            width, height = height, width
        scaler = self.scalers.setdefault((width, height, layout), av.video.reformatter.VideoReformatter())
        usual, planar = usual_matrix(self.grid.width, self.grid.height), layout == "yuv420p"
        scaled = scaler.reformat(
            self.picture, width, height, layout, interpolation=Interpolation.BILINEAR,
            src_colorspace=MATRICES.get(int(self.picture.colorspace), usual), dst_colorspace=usual if planar else None,
            dst_color_range=ColorRange.MPEG if planar else ColorRange.JPEG,
        )  # fmt: skip
        array: NDArray[np.uint8] = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(array, turns)) if turn and turns else array


def usual_matrix(width: int, height: int) -> int:
    """What players take for granted: BT.709 (1) for what is larger than a television of old, else BT.601 (5)."""
    return 1 if min(width, height) > 576 else 5


def read_frames(clip: Clip, every: int = 1) -> Iterator[Frame]:
    """The clip's frames on its source's grid: exactly `clip.num_frames` of them (each `every`-th, if asked).

    Needs the file "source" and the fact "grid". A seek gives the same pictures as decoding from the start.
    """
    grid, path = clip.grid, clip.path("source")
    begin, end = clip.first_frame, clip.first_frame + clip.num_frames
    scalers: dict[tuple[int, int, str], Any] = {}
    last = begin - 1
    for shown_from, picture in _on_grid(path, grid, begin, end):
        for index in range(last + 1, min(shown_from, end)):
            if (index - begin) % every == 0:
                yield Frame(index - begin, picture, grid, scalers)
        last = max(last, min(shown_from, end) - 1)


def _on_grid(path: Path, grid: Grid, begin: int, end: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """(first grid frame that no longer shows the picture, picture), from a seek where one can be trusted."""
    for seek in (True, False):
        with open_container(path) as container:
            stream = video_stream(container, path)
            target = grid.zero + begin / grid.fps - 3
            seek = seek and target > grid.zero and container.format.name.startswith(INDEXED)
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


def seek_before(container: av.container.InputContainer, stream: Any, target: Fraction) -> bool:
    """Go to the last key frame at or before `target`, in seconds on the file's clock; False when the file has no index."""
    import av

    try:
        container.seek(math.floor(target / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True


def behind(begun: Iterable[T], most: int = 4) -> Iterator[T]:
    """What was begun, once `most` more have been: other threads work on it meanwhile, and memory stays flat."""
    waiting: deque[T] = deque()
    for one in begun:
        waiting.append(one)
        if len(waiting) > most:
            yield waiting.popleft()
    yield from waiting
