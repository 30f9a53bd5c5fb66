"""Encodes pictures: H.264 video files and JPEG stills.

The same pictures give the same bytes on every run: the number of encoder threads is fixed and no clock is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deemo_data.clip import Grid, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media.filters import BT709
from deemo_data.media.frames import default_colour_matrix
from deemo_data.media.lookahead import run_ahead

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENCODER_THREADS = 2  # fixed, because the bytes that x264 writes depend on it


Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
Encoder = Literal["libx264", "h264_nvenc"]


def write_video(
    path: Path, pictures: Iterable[NDArray[np.uint8]], grid: Grid, crf: int, preset: Preset, encoder: Encoder = "libx264"
) -> int:
    """Encode planar 4:2:0 pictures (as `Frame.yuv` returns them) to an mp4 with H.264, no sound and no tags.

    crf  constant rate factor of x264: lower is better and larger
    Returns the number of pictures. Raises MediaError when this machine cannot run the encoder.
    """
    import av

    count = 0
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream: Any = container.add_stream(encoder, rate=grid.fps)
        stream.width, stream.height, stream.pix_fmt = grid.width, grid.height, "yuv420p"
        stream.codec_context.time_base = 1 / grid.fps
        stream.codec_context.colorspace, stream.codec_context.color_range = default_colour_matrix(grid.width, grid.height), 1
        stream.codec_context.color_primaries, stream.codec_context.color_trc = BT709, BT709
        stream.codec_context.thread_count = ENCODER_THREADS
        stream.codec_context.gop_size = max(1, round_half_up(grid.fps))  # one key frame per second, so that people can scrub
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if encoder == "libx264":
            stream.options = {"crf": str(crf), "preset": preset}
        else:
            stream.options = {"rc": "vbr", "cq": str(crf), "preset": "p4"}
            try:
                stream.codec_context.open()
            except av.error.FFmpegError as e:
                raise MediaError(f"{encoder} cannot be opened: {e.strerror}", 'Set [mask_video] encoder = "libx264"') from e
        with ThreadPoolExecutor(1) as encoding:  # while the caller makes the next picture

            def encode(frame: av.VideoFrame) -> None:
                container.mux(stream.encode(frame))

            def start_encoding() -> Iterator[Future[None]]:
                for index, yuv in enumerate(pictures):
                    frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
                    frame.pts, frame.time_base = index, 1 / grid.fps
                    yield encoding.submit(encode, frame)

            for done in run_ahead(start_encoding()):
                done.result()
                count += 1
        container.mux(stream.encode())
    return count


def encode_jpeg(bgr: NDArray[Any], quality: int, width: int = 0) -> bytes:
    """A picture (h, w, 3) as JPEG, scaled down to `width` pixels if given. quality: 0 to 100."""
    import cv2

    if width:
        size = (width, round(bgr.shape[0] * width / bgr.shape[1]))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
