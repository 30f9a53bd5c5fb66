"""Reads the sound of a clip as mono at 16 kHz, whole or in blocks of a minute; writes and reads WAV.

All stages and models that hear speech work at this one sample rate. Sample 0 is the start of the clip's first frame. The source's
fact `sound` says which track is read, how its channels are added up, and by how much it is raised; `measure_track` and
`describe_sound` make it. Whoever listens reads the levelled sound (levels.py says why): `read_levelled_sound`, or `SoundBlocks`
with `levelled=True`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, Facts, Grid, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media import levels
from deemo_data.media.container import SEEKABLE_FORMATS, decode_packets, open_container, read_time, seek_before
from deemo_data.notices import Notice

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ
SOUND_AS_IT_IS: Facts = {"tracks": [0], "mix": "mean", "gain_db": 0.0}  # of a clip without the fact `sound`: a file of our own
TOLD_GAIN_DB = 20.0  # a source that is raised by less is ordinary


def read_sound(clip: Clip) -> NDArray[np.float32]:
    """The sound of a clip: (n,) float32 in [-1, 1], exactly as long as its picture; zeros where the source has no sound.

    Needs the file "source" and the fact "grid". The fact "sound" brings it to level; without it, it is the first track as it is.
    `SoundBlocks` gives the same in pieces, for long recordings.
    """
    import numpy as np

    wave = np.zeros(frames_to_samples(clip.num_frames, clip.grid.fps), np.float32)
    for at, chunk in decode_sound(clip):
        lo, hi = max(at, 0), min(at + len(chunk), len(wave))
        if lo < hi:
            wave[lo:hi] = chunk[lo - at : hi - at]
    return wave


def read_levelled_sound(clip: Clip) -> NDArray[np.float32]:
    """The sound of a clip as all listeners hear it: that of `read_sound`, with its quiet stretches raised."""
    [wave] = levels.raise_quiet([read_sound(clip)])
    return wave


def decode_sound(clip: Clip) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(index of the first sample in the clip, (n,) mono sound at 16 kHz) per decoded chunk; nothing when there is no sound.

    The index may be negative, and chunks may reach beyond the clip. A gap in the stream of more than 50 ms moves the index; in a
    source of several recordings, one of 10 ms.
    """
    grid, path = clip.grid, clip.path("source")
    fact: Facts = clip.facts.get("sound") or SOUND_AS_IT_IS
    start = grid.zero + Fraction(clip.first_frame) / grid.fps
    samples = frames_to_samples(clip.num_frames, grid.fps)
    slack = SAMPLE_RATE_HZ // (100 if grid.joins else 20)  # recordings that are joined overlap a little
    with _open_sound(path, grid, fact, start) as container:
        if not container.streams.audio or not fact["tracks"]:
            return
        stream = container.streams.audio[fact["tracks"][0]]
        prepare = _Preparation(fact)
        at: int | None = None
        for frame, chunks in _resample(decode_packets(container, stream, max_broken=100, joins=grid.joins), path):
            time = read_time(frame)
            if time is not None:
                due = round_half_up((time - start) * SAMPLE_RATE_HZ)
                if at is None or abs(due - at) > slack:  # the start of the stream, or a gap in it
                    at = due
            for chunk in chunks:
                at = at or 0
                yield at, prepare(chunk)
                at += len(chunk)
            if at is not None and at > samples:
                return


def _open_sound(path: Path, grid: Grid, fact: Facts, start: Fraction) -> av.container.InputContainer:
    """The file, opened for reading its sound, two seconds before `start` where the container allows a seek."""
    container = open_container(path)
    seekable = start > 3 and not grid.joins and container.format.name.startswith(SEEKABLE_FORMATS)
    if seekable and fact["tracks"] and container.streams.audio:
        if seek_before(container, container.streams.audio[fact["tracks"][0]], start - 2):
            return container
        container.close()
        return open_container(path)
    return container


class _Preparation:
    """Makes one channel at the right level of the chunks (n, channels) of a sound track, as the fact `sound` says."""

    def __init__(self, fact: Facts) -> None:
        self._mix, self._gain = fact["mix"], 10 ** (fact["gain_db"] / 20)
        self._filter = levels.VoiceFilter(levels.MIN_RAISED_HZ, order=4) if fact["gain_db"] > 0 else None
        self._weights: dict[int, NDArray[np.float32]] = {}  # by the number of channels, which may change on the way

    def __call__(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np

        channels = chunk.shape[1]
        if channels not in self._weights:
            try:
                self._weights[channels] = levels.read_mix(self._mix, channels)
            except MediaError:  # the track has fewer channels here than where it was measured
                self._weights[channels] = levels.read_mix("mean", channels)
        wave = chunk @ self._weights[channels]
        if self._filter is None:
            return wave
        return np.clip(self._filter.process(wave) * self._gain, -1, 1).astype(np.float32)


def _resample(frames: Iterable[av.AudioFrame], path: Path) -> Iterator[tuple[av.AudioFrame, list[NDArray[np.float32]]]]:
    """Each decoded frame with what it gives at 16 kHz: chunks (n, channels) in [-1, 1]. A stream may change its form midway."""
    import av
    import numpy as np

    resampler, form = None, None
    for frame in frames:
        if resampler is None or form != (frame.format.name, frame.layout.name, frame.sample_rate):
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            # interleaved, because PyAV crashes on planar sound of 8 channels and more
            resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE_HZ)
        try:
            decoded = [c.to_ndarray().reshape(-1, c.layout.nb_channels) for c in resampler.resample(frame)]
        except av.error.FFmpegError as e:
            raise MediaError(f"{path.name}: its sound cannot be brought to {SAMPLE_RATE_HZ} Hz: {e.strerror}") from e
        # damaged floating-point sound can decode to any value, also to infinity and NaN
        yield frame, [np.clip(np.nan_to_num(d), -1, 1) for d in decoded]


# ── what is measured once per source ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class MeasuredTrack:
    """A sound track that was decoded once from end to end.

    mix         how its channels become one (`levels.read_mix`)
    level_db    loud level of that one channel, before any gain; -120 for silence
    notices     what is unusual about it
    is_unreadable  nothing of it could be decoded, because it is damaged
    """

    mix: str
    level_db: float
    notices: tuple[Notice, ...] = ()
    is_unreadable: bool = False


def measure_track(path: Path, index: int, mix: str = "") -> MeasuredTrack:
    """Decode a sound track, `index` counted from 0 among the sound tracks, and measure it; memory stays flat.

    mix  as the table of sources asks for it; "" chooses it from the sound
    A track that is damaged beyond use counts as far as it could be decoded. Raises MediaError for a mix that cannot be.
    """
    meter: levels.SoundMeter | None = None
    names: tuple[str, ...] = ()
    others: set[int] = set()  # other numbers of channels that parts of it have
    notices: list[Notice] = []
    with open_container(path) as container:
        stream = container.streams.audio[index]
        try:
            for frame, chunks in _resample(decode_packets(container, stream, max_broken=100), path):
                for chunk in chunks:
                    if meter is None:
                        meter, names = levels.SoundMeter(chunk.shape[1]), tuple(c.name for c in frame.layout.channels)
                    if chunk.shape[1] == meter.channels:
                        meter.add(chunk)
                    else:
                        others.add(chunk.shape[1])
        except MediaError as e:
            reason = e.what.removeprefix(path.name).lstrip(": ")
            notices.append(Notice("sound_damaged", f"its sound counts as far as it could be decoded: {reason}"))
    if meter is None:
        return MeasuredTrack(mix or "mean", -120.0, tuple(notices), is_unreadable=bool(notices))
    if others:
        counts = ", ".join(map(str, sorted(others)))
        text = f"its sound has {meter.channels} channels at first and {counts} in other parts"
        notices.append(Notice("channels_change", f"{text}: its level and its mix are those of the first part"))
    covariance = meter.compute_covariance()
    chosen = levels.Mix(mix) if mix else levels.choose_mix(covariance, names)
    weights = levels.read_mix(chosen.text, meter.channels)
    level_db = levels.find_loud_level(weights @ covariance @ weights)
    return MeasuredTrack(chosen.text, level_db, (*notices, *chosen.notices))


def describe_sound(index: int, track: MeasuredTrack) -> tuple[Facts, list[Notice]]:
    """The fact `sound` of a source that uses this track, and what there is to tell about it."""
    gain_db = levels.choose_gain(track.level_db)
    notices = list(track.notices)
    if track.level_db <= levels.SILENCE_DB:
        notices.append(Notice("sound_silent", "its sound track holds nothing but silence"))
    elif gain_db >= TOLD_GAIN_DB:
        text = f"its loud parts are at {track.level_db:.0f} dBFS only: the sound is raised by {gain_db:.0f} dB for all stages"
        notices.append(Notice("sound_raised", text))
    return {"tracks": [index], "mix": track.mix, "gain_db": gain_db}, notices


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
    the stream jumps back by more than a minute: a block that was already yielded is not changed. With `levelled` they are those
    of `read_levelled_sound`, and one block more is in memory.
    """

    clip: Clip
    levelled: bool = False

    def __len__(self) -> int:
        return frames_to_samples(self.clip.num_frames, self.clip.grid.fps)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return levels.raise_quiet(self._read_blocks()) if self.levelled else self._read_blocks()

    def _read_blocks(self) -> Iterator[NDArray[np.float32]]:
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
