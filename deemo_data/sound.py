"""The sound of a long recording, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deemo_data import media
from deemo_data.clip import Clip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 60 * media.SOUND_RATE  # samples; two blocks are held


@dataclass(frozen=True)
class Sound:
    """What `media.sound` gives, a minute at a time, so that a long recording is never held whole; it may be gone through again.

    It differs from that only where the stream's clock jumps back by more than a minute: what was said already stays.
    """

    clip: Clip

    def __len__(self) -> int:
        return media.sound_length(self.clip.num_frames, self.clip.grid.fps)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        import numpy as np

        begin, held = 0, np.zeros(2 * BLOCK, np.float32)  # `held` is the sound from sample `begin` on
        for at, chunk in media.heard(self.clip):
            while at + len(chunk) > begin + len(held) and begin < len(self):
                yield held[: min(BLOCK, len(self) - begin)].copy()
                begin, held[:BLOCK], held[BLOCK:] = begin + BLOCK, held[BLOCK:], 0
            lo, hi = max(at, begin), min(at + len(chunk), begin + len(held))
            if lo < hi:
                held[lo - begin : hi - begin] = chunk[lo - at : hi - at]
        while begin < len(self):
            yield held[: min(BLOCK, len(self) - begin)].copy()
            begin, held[:BLOCK], held[BLOCK:] = begin + BLOCK, held[BLOCK:], 0
