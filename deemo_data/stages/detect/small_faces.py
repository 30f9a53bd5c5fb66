"""Finds the faces that are too small for a look at the whole picture, and follows them from frame to frame.

FindFaces shows its detectors the picture at a fixed size. Where the picture is large, faces that a person would recognise are
too small there. SmallFaceSearch shows the first detector the picture at such a size that the narrowest face that counts is 18
pixels wide:

    look     |T              T              T    T|T        T|     in tiles, every `look_every` frames, at the first and the last
    follow   |     w    w    | . . w . . w  |     |   w  w   |     frame of a shot; then in windows around each face, forwards and
                                                                   backwards, every `step` frames, and every frame where it moved
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deemo_data.tracks.linking import pair_boxes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.media.frames import Frame
    from deemo_data.models.faces.tiles import Detector

SHOWN_WIDTH_PX = 18  # at which the narrowest face is shown: of faces so wide the detector finds all but one in some hundred
MIN_GAIN = 1.1  # a picture that would be shown no larger than this many times as large is not searched again
SURE_WIDTH_PX = 28  # faces so wide in the look at the whole picture are always found there


def choose_search_size(width: int, height: int, narrowest: int, longest: int) -> tuple[int, int] | None:
    """The size (width, height) at which a search for small faces shows a picture; None if `longest` pixels already do.

    narrowest  pixels of the picture: the width of the narrowest face that counts; 0 for no search
    """
    from deemo_data.models.faces import centerface

    if not narrowest:
        return None
    longer_side = round(max(width, height) * min(1.0, SHOWN_WIDTH_PX / narrowest))
    return centerface.choose_input_size(width, height, longer_side) if longer_side > MIN_GAIN * longest else None


class SmallFaceSearch:
    """Takes the frames of a clip in order (`add`), and gives the faces found (`finish`).

    detect   the first detector, for a part of the picture
    source   width and height of the picture
    size     the same, as it is shown to the detector
    longest  pixels of the longer side in the look at the whole picture: faces that are wide enough there are left to it
    look_every, step  frames
    thread   runs the searches, one at a time
    """

    def __init__(
        self,
        detect: Detector,
        source: tuple[int, int],
        size: tuple[int, int],
        longest: int,
        look_every: int,
        step: int,
        thread: Executor,
    ) -> None:
        import numpy as np

        from deemo_data.models.faces.tiles import TileMemory

        self.detect, self.size, self.look_every, self.step, self.thread = detect, size, look_every, step, thread
        self.widest = SURE_WIDTH_PX * max(size) / longest  # pixels of the picture as shown
        self.scale = np.array([source[0] / size[0], source[1] / size[1]] * 2 + [1], np.float32)
        self.tiles = TileMemory(*size, self._detect_narrow, self.widest)
        self.found: dict[int, NDArray[np.float32]] = {}
        self._stretch: list[Frame] = []  # from the last look to now
        self._job: Future[None] | None = None
        self._scalers: dict[Any, Any] = {}  # the search runs in its own thread and needs converters of its own

    def add(self, frame: Frame, begins_shot: bool) -> None:
        """Take the next frame. `begins_shot` says whether a new shot begins with it."""
        if begins_shot:
            self._search_stretch()
            self._stretch = []
        self._stretch.append(replace(frame, scalers=self._scalers))
        if len(self._stretch) > self.look_every:
            self._search_stretch()
            self._stretch = self._stretch[-1:]

    def finish(self) -> dict[int, NDArray[np.float32]]:
        """{frame: boxes (n, 5)} in pixels of the picture, for the frames in which anything was looked for."""
        self._search_stretch()
        self._wait()
        return {frame: self.found[frame] * self.scale for frame in sorted(self.found)}

    def _wait(self) -> None:
        if self._job is not None:
            self._job.result()

    def _search_stretch(self) -> None:
        """Search the frames since the last look in the other thread, after the search before it has ended."""
        self._wait()
        if self._stretch:
            self._job = self.thread.submit(_Stretch(self, list(self._stretch)).search)

    def _detect_narrow(self, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        from deemo_data.models.faces.tiles import FACE_HEIGHT

        found = self.detect(bgr)
        narrow = found[:, 2] - found[:, 0] <= self.widest
        low = found[:, 3] - found[:, 1] <= FACE_HEIGHT * self.widest
        return found[narrow & low]


class _Stretch:
    """The frames from one look to the next, within one shot."""

    def __init__(self, search: SmallFaceSearch, frames: list[Frame]) -> None:
        self.owner, self.frames, self.found = search, frames, search.found
        self._pictures: dict[int, tuple[NDArray[np.uint8], NDArray[np.int16]]] = {}

    def search(self) -> None:
        """Look at the ends of the stretch, and follow the faces that are there into it."""
        for frame in (self.frames[0], self.frames[-1]):
            if frame.index not in self.found:
                self.found[frame.index] = self.owner.tiles.look(*self._picture(frame))
        self._follow(self.frames)
        self._follow(self.frames[::-1])

    def _picture(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        from deemo_data.models.faces.tiles import make_preview

        if frame.index not in self._pictures:
            picture = frame.bgr(*self.owner.size)
            self._pictures = dict([*self._pictures.items()][-self.owner.step :])  # flat memory
            self._pictures[frame.index] = picture, make_preview(picture)
        return self._pictures[frame.index]

    def _follow(self, frames: list[Frame]) -> None:
        """Look for the faces of the first frame in the next ones, in steps; where one is lost, in each frame up to there."""
        import numpy as np

        faces, now = self.found[frames[0].index], 0
        while len(faces) and now < len(frames) - 1:
            then = min(now + self.owner.step, len(frames) - 1)
            seen, lost = self._look_for(faces, frames[now], frames[then])
            for before, after in zip(frames[now:then], frames[now + 1 : then + 1], strict=True):
                if not len(lost):
                    break
                lost, _ = self._look_for(lost, before, after)
            faces, now = np.concatenate([seen, lost]), then

    def _look_for(
        self, faces: NDArray[np.float32], before: Frame, after: Frame
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Faces of one frame, looked for in another: where they are there, and those that are not. Adds to `found`."""
        import numpy as np

        from deemo_data.models.faces.tiles import detect_in, drop_cut_boxes, is_still, merge_boxes, place_windows

        known = self.found.get(after.index, faces[:0])
        new = np.delete(faces, [i for i, _ in pair_boxes(faces, known)], axis=0)
        if len(new):
            (_, old_preview), (picture, preview) = self._picture(before), self._picture(after)
            parts = [known]
            for window in place_windows(new, *self.owner.size):
                if is_still(old_preview, preview, window):
                    middles = (new[:, :2] + new[:, 2:4]) / 2
                    parts.append(new[((middles >= window[:2]) & (middles <= window[2:])).all(axis=1)])
                else:
                    seen = detect_in(picture, window, self.owner._detect_narrow)
                    parts.append(drop_cut_boxes(seen, window, *self.owner.size))
            known = merge_boxes(parts)
        self.found[after.index] = known
        pairs = pair_boxes(faces, known)
        return known[[j for _, j in pairs]], np.delete(faces, [i for i, _ in pairs], axis=0)
