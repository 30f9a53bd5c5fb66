"""Makes films as cameras and telephones write them: HDR (HLG, PQ), wide colours, interlaced; from pictures that are known.

The formulas here are written from the standards (BT.2100, BT.2020, BT.1886) and not taken from media/filters.py.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (height, width, 3), red first
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # of BT.709 (BT.2087)
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
LUMA = np.array([0.2627, 0.6780, 0.0593])
TAGS = {"hlg": (9, 18, 9), "pq": (9, 16, 9), "bt2020": (9, 14, 9), "p3": (12, 1, 1)}  # primaries, transfer, matrix


def scene(number: int, width: int = 192, height: int = 144) -> Picture:
    """A room: grey walls with soft shades, patches of skin and cloth, a white sheet; a bar that moves with `number`."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    rgb = np.stack([90 + 60 * x, 80 + 50 * y, 70 + 40 * x * y], axis=-1)
    for k, colour in enumerate([(224, 172, 140), (141, 85, 60), (40, 70, 150), (170, 40, 50), (60, 120, 60), (250, 250, 250)]):
        rgb[height // 5 : height // 2, (6 * k + 1) * width // 40 : (6 * k + 6) * width // 40] = colour
    left = (7 * number) % (width - 24)
    rgb[height * 3 // 5 : height * 9 // 10, left : left + 24] = (30, 35, 45)
    return np.rint(rgb).astype(np.uint8)


def code_light(rgb: Picture, kind: str, white: int) -> NDArray[np.float64]:
    """The code values (0..1) with which a film of this kind shows an ordinary picture whose white is at `white` cd/m²."""
    light = (rgb / 255) ** 2.4 @ (TO_P3 if kind == "p3" else TO_2020).T
    if kind in ("bt2020", "p3"):
        return np.asarray(light.clip(0, 1) ** (1 / 2.4))
    if kind == "pq":
        power = (light * white / 10_000) ** 0.1593017578125
        return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)
    display = light * white / 1000
    seen = np.maximum(display @ LUMA, 1e-9)[..., None] ** (-0.2 / 1.2) * display
    return np.asarray(
        np.where(seen <= 1 / 12, np.sqrt(3 * seen), 0.17883277 * np.log(np.maximum(12 * seen, 0.3) - 0.28466892) + 0.55991073)
    )


def write_wide_film(
    path: Path,
    pictures: list[Picture],
    kind: str,
    white: int = 203,
    codec: str = "libx265",
    layout: str = "yuv420p10le",
    full: bool = False,
) -> Path:
    """A film of a kind of `TAGS` at 25 frames a second. full: full range."""
    primaries, transfer, matrix = TAGS[kind]
    options = {
        "libx265": {"x265-params": "log-level=none:qp=8"},
        "libx264": {"qp": "8"},
        "libsvtav1": {"crf": "12", "preset": "10"},
    }
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25, options=options.get(codec, {"crf": "8", "b": "0", "cpu-used": "8"}))
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], layout
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = (
            primaries,
            transfer,
            matrix,
            2 if full else 1,
        )
        for n, rgb in enumerate(pictures):
            code = np.rint(code_light(rgb, kind, white) * 65535).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(code, format="rgb48le").reformat(
                format=layout, dst_colorspace=matrix, dst_color_range=2 if full else 1
            )
            frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = (
                primaries,
                transfer,
                matrix,
                2 if full else 1,
            )
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def weave(first: Picture, second: Picture) -> Picture:
    """One interlaced frame: the even rows of `first`, the odd rows of `second`."""
    woven = second.copy()
    woven[::2] = first[::2]
    return woven


def write_interlaced_film(
    path: Path, frames: int, size: tuple[int, int], codec: str, options: dict[str, str], top_first: bool = True
) -> Path:
    """A film of 25 frames, 50 fields a second: frame n shows scene 2n, and scene 2n + 1 in the rows of its second field."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = 12
        if codec == "mpeg2video":
            stream.bit_rate = 20_000_000
        graph = av.filter.Graph()  # encoders take the order of the fields from the frame
        source = graph.add_buffer(width=size[0], height=size[1], format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25))
        flag = graph.add("setfield", mode="tff" if top_first else "bff")
        graph.link_nodes(source, flag, graph.add("buffersink")).configure()
        for n in range(frames):
            early, late = scene(2 * n, *size), scene(2 * n + 1, *size)
            woven = weave(early, late) if top_first else weave(late, early)
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format="yuv444p").reformat(format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            graph.vpush(frame)
            out.mux(stream.encode(graph.vpull()))
        out.mux(stream.encode())
    return path


def comb_share(luma: Picture) -> float:
    """The share of pixels (height, width) that stand out from the rows above and below alike, as in combed edges."""
    rows = luma.astype(np.int32)
    return float(((rows[1:-1] - rows[:-2]) * (rows[1:-1] - rows[2:]) > 200).mean())


def measure_psnr(a: Picture, b: Picture) -> float:
    """Likeness of two pictures in dB; 30 and more look alike."""
    return float(10 * np.log10(255**2 / max(1e-9, ((a.astype(float) - b) ** 2).mean())))
