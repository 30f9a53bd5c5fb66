"""Reading and writing pictures and sound, by PyAV.

Every stage gets its frames from `frames`, so frame k is the same picture everywhere:

    source   |f0    |f1   |f2      |f3  |f4        any time stamps, `zero` = the first
    grid     |0    |1    |2    |3    |4    |       k / fps after zero; k shows the last source
                                                   frame with pts <= (k + 1/2) / fps
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from deemo_data.clip import Clip, Facts, Grid, frame_rate, round_half_up
from deemo_data.errors import MediaError
from deemo_data.limits import BIGGEST_PICTURE, MOST_FRAMES, ONLY_ITSELF, check_frames, check_picture, check_times

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
SOUND_RATE = 16_000
INDEXED = ("mov,mp4", "matroska")  # containers in which a seek can be trusted
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # from RGB to YUV: as files say it (ITU-T H.273) -> as libswscale does
ENCODER_THREADS = 2  # fixed: the bytes that x264 makes depend on it


def probe(path: Path, vfr_fps: int = 30) -> Facts:
    """What a source is, before any of it is used: {"grid", "has_sound", "duration_ms"}.

    Raises MediaError with the true reason for a file that holds no video we can read.
    """
    times: list[Fraction] = []
    with _opened(path) as container:
        stream = _video(container, path)
        context = stream.codec_context
        check_picture(path.name, context.width, context.height)
        has_sound = bool(container.streams.audio)
        first = next((f for _, f in _decoded(container, stream)), None)
        if first is None:
            raise MediaError(f"{path.name}: not one frame of the video can be decoded")
        width, height = _upright(first, stream.sample_aspect_ratio)
        check_picture(path.name, width, height)
        if container.format.name.startswith(INDEXED):
            container.seek(0)
            tick = stream.time_base or Fraction(1)
            shown = (p.pts * tick for p in _packets(container, stream) if p.pts is not None)
            times = sorted(islice(shown, MOST_FRAMES + 1))
    if not times:
        with _opened(path) as container:
            times = [t for t, _ in islice(_decoded(container, _video(container, path)), MOST_FRAMES + 1)]
    check_times(path.name, times)
    zero, fps, vfr = times[0], *frame_rate(times, vfr_fps)
    frames = len(times) if not vfr else math.ceil((times[-1] - zero) * fps - Fraction(1, 2)) + 1
    check_frames(path.name, frames)
    grid = Grid(fps, vfr, zero, frames, width, height)
    return {"grid": grid.to_fact(), "has_sound": has_sound, "duration_ms": grid.ms_at(frames)}


def _opened(path: Path) -> av.container.InputContainer:
    import av

    try:
        if path.stat().st_size == 0:
            raise MediaError(f"{path.name} is empty (0 bytes)")
        return av.open(str(path), options=ONLY_ITSELF, metadata_errors="replace")
    except FileNotFoundError as e:
        raise MediaError(f"{path} is not there") from e
    except av.error.FFmpegError as e:
        raise MediaError(f"{path.name} cannot be read as video or sound: {e.strerror}") from e


def _video(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    pictures = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not pictures:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise MediaError(f"{path.name} has no video stream (it has {kinds})")
    stream = pictures[0]
    if stream.codec_context is None:
        raise MediaError(f"{path.name}: its video codec is not known here")
    stream.thread_type = "AUTO"
    stream.codec_context.options = BIGGEST_PICTURE
    return stream


def _packets(container: av.container.InputContainer, stream: Any) -> Iterator[av.Packet]:
    import av

    try:
        yield from (p for p in demuxed(container, stream) if p.size and not p.is_discard)
    except av.error.FFmpegError as e:
        raise MediaError(f"{Path(container.name).name} is damaged: {e.strerror}") from e


def demuxed(container: av.container.InputContainer, stream: Any) -> Iterator[av.Packet]:
    """The packets of a stream. At their end PyAV looks for streams that came up on the way, and has no place for them."""
    with suppress(IndexError):
        yield from container.demux(stream)


def _decoded(container: av.container.InputContainer, stream: Any) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """(time in seconds on the file's own clock, frame), ascending."""
    last: Fraction | None = None
    step = 1 / (stream.average_rate or Fraction(25))
    for frame in _out_of(container, stream, most=25):
        guess = Fraction(0) if last is None else last + step
        time = guess if frame.pts is None else frame.pts * frame.time_base
        if last is None or time > last:
            last = time
            yield time, frame


def _out_of(container: av.container.InputContainer, stream: Any, most: int) -> Iterator[Any]:
    """What the decoder makes of the stream; `most` broken packets are stepped over."""
    import av

    bad = 0
    packets = demuxed(container, stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except av.error.FFmpegError as e:
            bad += 1
            if bad > most:
                raise MediaError(f"{Path(container.name).name}: its {stream.type} is damaged: {e.strerror}") from e
            continue
        yield from decoded


def _upright(frame: av.VideoFrame, pixel: Fraction | None) -> tuple[int, int]:
    """Width and height of the picture as it should be seen: pixels (`pixel` wide, 1 high) square, upright, even."""
    width = round_half_up(frame.width * (pixel or Fraction(1)))
    size = (width, frame.height) if frame.rotation % 180 == 0 else (frame.height, width)
    return size[0] & ~1, size[1] & ~1


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
        usual, planar = _usual_matrix(self.grid.width, self.grid.height), layout == "yuv420p"
        scaled = scaler.reformat(
            self.picture, width, height, layout, interpolation=Interpolation.BILINEAR,
            src_colorspace=MATRICES.get(int(self.picture.colorspace), usual), dst_colorspace=usual if planar else None,
            dst_color_range=ColorRange.MPEG if planar else ColorRange.JPEG,
        )  # fmt: skip
        array: NDArray[np.uint8] = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(array, turns)) if turn and turns else array


def _usual_matrix(width: int, height: int) -> int:
    """What players take for granted: BT.709 (1) for what is larger than a television of old, else BT.601 (5)."""
    return 1 if min(width, height) > 576 else 5


def frames(clip: Clip, every: int = 1) -> Iterator[Frame]:
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
        with _opened(path) as container:
            stream = _video(container, path)
            target = grid.zero + begin / grid.fps - 3
            seek = seek and target > grid.zero and container.format.name.startswith(INDEXED)
            if seek and not _sought(container, stream, target):
                continue
            before: av.VideoFrame | None = None
            since = begin
            for time, picture in _decoded(container, stream):
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


def _sought(container: av.container.InputContainer, stream: Any, target: Fraction) -> bool:
    """Go to the last key frame at or before `target`, in seconds on the file's clock; False when the file has no index."""
    import av

    try:
        container.seek(math.floor(target / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True


def sound(clip: Clip) -> NDArray[np.float32]:
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
    with _opened(path) as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        if start > 3 and container.format.name.startswith(INDEXED):
            _sought(container, stream, start - 2)
        # not planar: PyAV crashes at the planes of 8 channels and more
        resampler = av.AudioResampler(format="flt", rate=SOUND_RATE)
        at: int | None = None
        for frame in _out_of(container, stream, most=100):
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


Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
Encoder = Literal["libx264", "h264_nvenc"]


def write_video(
    path: Path, pictures: Iterable[NDArray[np.uint8]], grid: Grid, crf: int, preset: Preset, encoder: Encoder = "libx264"
) -> int:
    """Encode planar 4:2:0 pictures (as `Frame.yuv` gives them) to H.264, no sound, no tags; how many there were.

    Raises MediaError when the encoder is not to be had here.
    """
    import av

    count = 0
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream: Any = container.add_stream(encoder, rate=grid.fps)
        stream.width, stream.height, stream.pix_fmt = grid.width, grid.height, "yuv420p"
        stream.codec_context.time_base = 1 / grid.fps
        stream.codec_context.colorspace, stream.codec_context.color_range = _usual_matrix(grid.width, grid.height), 1
        stream.codec_context.thread_count = ENCODER_THREADS
        stream.codec_context.gop_size = max(1, round_half_up(grid.fps))  # a key frame a second: people scrub
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if encoder == "libx264":
            stream.options = {"crf": str(crf), "preset": preset}
        else:
            stream.options = {"rc": "vbr", "cq": str(crf), "preset": "p4"}
            try:
                stream.codec_context.open()
            except av.error.FFmpegError as e:
                raise MediaError(f"{encoder} cannot be opened: {e.strerror}", 'Set [mask_video] encoder = "libx264"') from e
        with ThreadPoolExecutor(1) as encoding:  # while the next picture is made

            def encode(frame: av.VideoFrame) -> None:
                container.mux(stream.encode(frame))

            def begun() -> Iterator[Future[None]]:
                for index, yuv in enumerate(pictures):
                    frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
                    frame.pts, frame.time_base = index, 1 / grid.fps
                    yield encoding.submit(encode, frame)

            for done in behind(begun()):
                done.result()
                count += 1
        container.mux(stream.encode())
    return count


def behind(begun: Iterable[T], most: int = 4) -> Iterator[T]:
    """What was begun, once `most` more have been: other threads work on it meanwhile, and memory stays flat."""
    waiting: deque[T] = deque()
    for one in begun:
        waiting.append(one)
        if len(waiting) > most:
            yield waiting.popleft()
    yield from waiting
