"""Mono 16 kHz sound of a clip, whole or in blocks; WAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media.container import INDEXED, decode_packets, open_container
from deemo_data.media.frames import seek_before

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOUND_RATE = 16_000


def read_sound(clip: Clip) -> NDArray[np.float32]:
    """The clip's sound, mono, 16 kHz, float32 in [-1, 1], exactly as long as its picture; silence where there is none.

    Needs the file "source" and the fact "grid". Its zero is the clip's first frame.
    """
    import numpy as np

    wave = np.zeros(sound_length(clip.num_frames, clip.grid.fps), np.float32)
    for at, chunk in heard(clip):
        lo, hi = max(at, 0), min(at + len(chunk), len(wave))
        if lo < hi:
            wave[lo:hi] = chunk[lo - at : hi - at]
    return wave


def heard(clip: Clip) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(the clip's sample that it begins at, mono sound at 16 kHz), as it is decoded; nothing when there is no sound."""
    import av
    import numpy as np

    grid, path = clip.grid, clip.path("source")
    start = grid.zero + Fraction(clip.first_frame) / grid.fps
    samples = sound_length(clip.num_frames, grid.fps)
    with open_container(path) as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        if start > 3 and container.format.name.startswith(INDEXED):
            seek_before(container, stream, start - 2)
        # not planar: PyAV crashes at the planes of 8 channels and more
        resampler = av.AudioResampler(format="flt", rate=SOUND_RATE)
        at: int | None = None
        for frame in decode_packets(container, stream, most=100):
            time = frame.pts * frame.time_base if frame.pts is not None else None
            try:
                decoded = [c.to_ndarray().reshape(-1, c.layout.nb_channels) for c in resampler.resample(frame)]
            except av.error.FFmpegError as e:
                raise MediaError(f"{path.name}: its sound cannot be brought to {SOUND_RATE} Hz: {e.strerror}") from e
            # damaged floating-point sound decodes to anything, also to what is no number
            chunks = [np.clip(np.nan_to_num(d), -1, 1).mean(axis=1) for d in decoded]
            if time is not None:
                meant = round_half_up((time - start) * SOUND_RATE)
                if at is None or abs(meant - at) > SOUND_RATE // 20:  # a gap in the stream, or its beginning
                    at = meant
            for chunk in chunks:
                at = at or 0
                yield at, chunk
                at += len(chunk)
            if at is not None and at > samples:
                return


def sound_length(num_frames: int, fps: Fraction) -> int:
    """Samples at 16 kHz that last as long as `num_frames` pictures."""
    return round_half_up(num_frames * SOUND_RATE / fps)


def write_wav(path: Path, wave: NDArray[Any]) -> None:
    """Mono, 16 kHz, 16-bit PCM; samples beyond [-1, 1] are cut."""
    import wave as wav

    import numpy as np

    with wav.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(SOUND_RATE)
        f.writeframes(np.rint(np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes())


def read_wav(path: Path) -> NDArray[np.float32]:
    """What `write_wav` wrote: (n,) float32."""
    import wave as wav

    import numpy as np

    with wav.open(str(path), "rb") as f:
        return np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / np.float32(32767)


BLOCK = 60 * SOUND_RATE  # samples; two blocks are held


@dataclass(frozen=True)
class Sound:
    """What `media.sound` gives, a minute at a time, so that a long recording is never held whole; it may be gone through again.

    It differs from that only where the stream's clock jumps back by more than a minute: what was said already stays.
    """

    clip: Clip

    def __len__(self) -> int:
        return sound_length(self.clip.num_frames, self.clip.grid.fps)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        import numpy as np

        begin, held = 0, np.zeros(2 * BLOCK, np.float32)  # `held` is the sound from sample `begin` on
        for at, chunk in heard(self.clip):
            while at + len(chunk) > begin + len(held) and begin < len(self):
                yield held[: min(BLOCK, len(self) - begin)].copy()
                begin, held[:BLOCK], held[BLOCK:] = begin + BLOCK, held[BLOCK:], 0
            lo, hi = max(at, begin), min(at + len(chunk), begin + len(held))
            if lo < hi:
                held[lo - begin : hi - begin] = chunk[lo - at : hi - at]
        while begin < len(self):
            yield held[: min(BLOCK, len(self) - begin)].copy()
            begin, held[:BLOCK], held[BLOCK:] = begin + BLOCK, held[BLOCK:], 0
