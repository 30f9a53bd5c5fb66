"""Reads the sound of a clip as mono at 16 kHz, whole or in blocks of a minute; writes and reads WAV.

All stages and models that hear speech work at this one sample rate. Sample 0 is the start of the clip's first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media.container import SEEKABLE_FORMATS, decode_packets, open_container, seek_before

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ


def read_sound(clip: Clip) -> NDArray[np.float32]:
    """The sound of a clip: (n,) float32 in [-1, 1], exactly as long as its picture; zeros where the source has no sound.

    Needs the file "source" and the fact "grid". `SoundBlocks` gives the same in pieces, for long recordings.
    """
    import numpy as np

    wave = np.zeros(frames_to_samples(clip.num_frames, clip.grid.fps), np.float32)
    for at, chunk in decode_sound(clip):
        lo, hi = max(at, 0), min(at + len(chunk), len(wave))
        if lo < hi:
            wave[lo:hi] = chunk[lo - at : hi - at]
    return wave


def decode_sound(clip: Clip) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(index of the first sample in the clip, (n,) mono sound at 16 kHz) per decoded chunk; nothing when there is no sound.

    The index may be negative, and chunks may reach beyond the clip. A gap in the stream of more than 50 ms moves the index.
    """
    import av
    import numpy as np

    grid, path = clip.grid, clip.path("source")
    start = grid.zero + Fraction(clip.first_frame) / grid.fps
    samples = frames_to_samples(clip.num_frames, grid.fps)
    with open_container(path) as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        if start > 3 and container.format.name.startswith(SEEKABLE_FORMATS):
            seek_before(container, stream, start - 2)
        # interleaved, because PyAV crashes on planar sound of 8 channels and more
        resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE_HZ)
        at: int | None = None
        for frame in decode_packets(container, stream, max_broken=100):
            time = frame.pts * frame.time_base if frame.pts is not None else None
            try:
                decoded = [c.to_ndarray().reshape(-1, c.layout.nb_channels) for c in resampler.resample(frame)]
            except av.error.FFmpegError as e:
                raise MediaError(f"{path.name}: its sound cannot be brought to {SAMPLE_RATE_HZ} Hz: {e.strerror}") from e
            # damaged floating-point sound can decode to any value, also to infinity and NaN
            chunks = [np.clip(np.nan_to_num(d), -1, 1).mean(axis=1) for d in decoded]
            if time is not None:
                due = round_half_up((time - start) * SAMPLE_RATE_HZ)
                if at is None or abs(due - at) > SAMPLE_RATE_HZ // 20:  # the start of the stream, or a gap in it
                    at = due
            for chunk in chunks:
                at = at or 0
                yield at, chunk
                at += len(chunk)
            if at is not None and at > samples:
                return


def frames_to_samples(num_frames: int, fps: Fraction) -> int:
    """Number of samples at 16 kHz that last as long as `num_frames` frames."""
    return round_half_up(num_frames * SAMPLE_RATE_HZ / fps)


def write_wav(path: Path, wave: NDArray[Any]) -> None:
    """Write a wave (n,) as mono, 16 kHz, 16-bit PCM. Samples beyond [-1, 1] are clipped."""
    import wave as wav

    import numpy as np

    with wav.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(SAMPLE_RATE_HZ)
        f.writeframes(np.rint(np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes())


def read_wav(path: Path) -> NDArray[np.float32]:
    """Read a file that `write_wav` wrote: (n,) float32 in [-1, 1]."""
    import wave as wav

    import numpy as np

    with wav.open(str(path), "rb") as f:
        return np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / np.float32(32767)


@dataclass(frozen=True)
class SoundBlocks:
    """The sound of a clip in blocks of one minute, so that a long recording is never in memory as a whole.

    Iterating yields (BLOCK_SAMPLES,) float32 arrays, the last one shorter; len() is the total number of samples. It can be
    iterated repeatedly. Two blocks are in memory at a time. The samples are those of `read_sound`, except where the clock of
    the stream jumps back by more than a minute: a block that was already yielded is not changed.
    """

    clip: Clip

    def __len__(self) -> int:
        return frames_to_samples(self.clip.num_frames, self.clip.grid.fps)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        import numpy as np

        begin, held = 0, np.zeros(2 * BLOCK_SAMPLES, np.float32)  # `held`: the sound from sample `begin`
        for at, chunk in decode_sound(self.clip):
            while at + len(chunk) > begin + len(held) and begin < len(self):
                yield held[: min(BLOCK_SAMPLES, len(self) - begin)].copy()
                begin, held[:BLOCK_SAMPLES], held[BLOCK_SAMPLES:] = begin + BLOCK_SAMPLES, held[BLOCK_SAMPLES:], 0
            lo, hi = max(at, begin), min(at + len(chunk), begin + len(held))
            if lo < hi:
                held[lo - begin : hi - begin] = chunk[lo - at : hi - at]
        while begin < len(self):
            yield held[: min(BLOCK_SAMPLES, len(self) - begin)].copy()
            begin, held[:BLOCK_SAMPLES], held[BLOCK_SAMPLES:] = begin + BLOCK_SAMPLES, held[BLOCK_SAMPLES:], 0
