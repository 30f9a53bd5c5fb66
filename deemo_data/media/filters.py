"""Makes ordinary pictures of all kinds: interlaced frames become whole pictures, HDR and wide colours become BT.709.

media/frames.py applies this to every picture that a stage reads. Ordinary footage passes through untouched.

Interlaced: bwdif makes one picture of each frame, of its first field; it looks at the frame before and the frame after.
HDR: the light that a reference display of 1000 cd/m² would show (ITU-R BT.2100: HLG, PQ) is brought to a display of 100 cd/m² by
the curve of ITU-R BT.2390 (section 5.4), on the largest of red, green and blue, so that hue and saturation stay. Then the
primaries are those of BT.709, and the code values those of a display as in BT.1886. A table of 33 × 33 × 33 colours holds it all.
"""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deemo_data.errors import MediaError
from deemo_data.media.container import decode_frames, find_video_stream, open_container, seek_before
from deemo_data.notices import Notice

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

    TimedFrame = tuple[Fraction, av.VideoFrame]

Colours = Literal["hlg", "pq", "bt2020", "p3"]  # how a picture codes light when it is not BT.709

# Numbers in files (ITU-T H.273)
TRANSFERS: dict[int, Colours] = {16: "pq", 18: "hlg"}
WIDE_PRIMARIES: dict[int, Colours] = {9: "bt2020", 12: "p3"}
BT709 = 1
RGB_MATRIX = 0
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # RGB to YUV: number in files -> in libswscale
UNREADABLE_MATRICES = {14: "ICtCp", 15: "IPT (Dolby Vision profile 5)"}

XY_OF_PRIMARIES = {  # red, green, blue; the white of all is D65
    "bt709": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
XY_OF_WHITE = (0.3127, 0.3290)
LUMA_2020 = (0.2627, 0.6780, 0.0593)
HDR_PEAK_CD_M2 = 1000.0  # what is brighter becomes white
SDR_PEAK_CD_M2 = 100.0
SDR_GAMMA = 2.4  # BT.1886
MOST_OF_CONVERTED_CD_M2 = 135.0  # of footage that was made from ordinary footage
TABLE_SIZE = 33  # per channel
TABLE_LAYOUT = "gbrp10le"  # pixel format in which the table is applied
LOOKS, LOOK_FRAMES = 8, 10
INTERLACED_HEIGHTS = (480, 486, 576, 1080)
LEAST_COMBED_FRAMES = 8

NAME_OF_COLOURS = {
    "hlg": "HDR (HLG)",
    "pq": "HDR (PQ)",
    "bt2020": "in the wide colours of BT.2020",
    "p3": "in the wide colours of P3",
}


def find_colours(picture: av.VideoFrame) -> Colours | None:
    """How the picture codes light, by its own tags; None for BT.709, for standard television, and without tags."""
    return TRANSFERS.get(int(picture.color_trc)) or WIDE_PRIMARIES.get(int(picture.color_primaries))


# ── what is in a file ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Survey:
    """What a look at the pictures of a track says.

    white, fields  as in Grid (deemo_data/clip.py)
    notices        what `read_frames` changes
    """

    white: int = 0
    fields: str = ""
    notices: tuple[Notice, ...] = ()


def survey_pictures(path: Path, track: int = 0) -> Survey:
    """Look at some pictures of a picture track: whether they are HDR, wide in colour, or interlaced.

    One frame of ordinary footage is decoded. At the heights of television, and of HDR footage, up to 80 frames are decoded, at
    eight places. Raises MediaError for colours that nothing here can read.
    """
    with open_container(path) as container:
        stream = find_video_stream(container, path, track)
        first = next((f for _, f in decode_frames(container, stream)), None)
    if first is None:
        return Survey()
    if system := UNREADABLE_MATRICES.get(int(first.colorspace)):
        raise MediaError(f"{path.name}: its pictures are coded in {system}", "Convert the file to BT.709 and ingest that")
    colours = find_colours(first)
    hdr = colours in ("hlg", "pq")
    flagged = first.interlaced_frame
    looks: list[list[av.VideoFrame]] = []
    if hdr or flagged or first.height in INTERLACED_HEIGHTS:
        looks = take_looks(path, track)
        flagged = flagged or any(f.interlaced_frame for look in looks for f in look)
    white = estimate_white(looks, colours) if hdr else 0
    fields = "" if flagged else find_fields(looks)
    return Survey(white, fields, tuple(describe_changes(colours, white, flagged, fields)))


def take_looks(path: Path, track: int = 0) -> list[list[av.VideoFrame]]:
    """Ten frames each at eight places of the track; in a file without an index, the first eighty."""
    looks: list[list[av.VideoFrame]] = []
    with open_container(path) as container:
        stream = find_video_stream(container, path, track)
        length = Fraction(container.duration or 0, 1_000_000)
        begin = Fraction(container.start_time or 0, 1_000_000)
        for k in range(LOOKS):
            if not length or not seek_before(container, stream, begin + length * k / LOOKS):
                break
            looks.append([f for _, f in islice(decode_frames(container, stream), LOOK_FRAMES)])
    if not any(looks):
        with open_container(path) as container:
            looks = [
                [f for _, f in islice(decode_frames(container, find_video_stream(container, path, track)), LOOKS * LOOK_FRAMES)]
            ]
    return looks


def estimate_white(looks: Iterable[Iterable[av.VideoFrame]], colours: Colours | None) -> int:
    """The light of a white sheet in HDR footage, in cd/m².

    203 is what BT.2408 asks for, and what cameras and telephones do. Footage in which nothing is brighter than 100 cd/m² (with
    some room for coding errors and whiter than white) was made from ordinary footage, whose white is 100 there.
    """
    import numpy as np
    from av.video.reformatter import ColorRange, Interpolation

    decode = decode_hlg if colours == "hlg" else decode_pq
    brightest = 0.0
    for picture in (f for look in looks for f in list(look)[:1]):
        rgb = picture.reformat(
            picture.width // 2, picture.height // 2, TABLE_LAYOUT, interpolation=Interpolation.AREA,
            src_colorspace=MATRICES.get(int(picture.colorspace), 9), dst_color_range=ColorRange.JPEG,
        )  # fmt: skip
        brightest = max(brightest, float((decode(rgb.to_ndarray() / 1023) @ np.array(LUMA_2020)).max()))
    return 100 if brightest <= MOST_OF_CONVERTED_CD_M2 else 203


def find_fields(looks: Iterable[Iterable[av.VideoFrame]]) -> str:
    """Which field comes first in frames that are interlaced but do not say so: "tff" or "bff"; "" for whole pictures."""
    import av

    seen: Counter[str] = Counter()
    for look in looks:
        graph, shape = None, None
        for picture in look:
            if graph is None or shape != (picture.width, picture.height, picture.format.name):
                shape = picture.width, picture.height, picture.format.name
                graph = _open_graph(picture, "idet")
            graph.vpush(picture)
            with suppress(av.error.BlockingIOError):
                seen[graph.vpull().metadata.get("lavfi.idet.multiple.current_frame", "")] += 1
    fields = max(("tff", "bff"), key=lambda f: seen[f])
    return (
        fields
        if seen[fields] >= LEAST_COMBED_FRAMES and seen[fields] > 3 * (seen.total() - seen[fields] - seen["undetermined"])
        else ""
    )


def describe_changes(colours: Colours | None, white: int, flagged: bool, fields: str) -> Iterator[Notice]:
    """What `read_frames` changes on pictures with these colours and fields."""
    if flagged or fields:
        how = "says so" if flagged else "does not say so, but moving edges are combed"
        yield Notice(
            "deinterlaced", f"The footage is interlaced ({how}): each frame becomes one whole picture, of its first field."
        )
    if colours and white:
        told = f"they are tone-mapped to BT.709, with a white sheet taken to be at {white} cd/m², by their brightest places"
        yield Notice("tone_mapped", f"The pictures are {NAME_OF_COLOURS[colours]}: {told}.")
    elif colours:
        yield Notice("colours_narrowed", f"The pictures are {NAME_OF_COLOURS[colours]}: they are brought to those of BT.709.")


# ── interlaced footage ───────────────────────────────────────────────────────────────────────────────────────


def deinterlace_frames(frames: Iterable[TimedFrame], fields: str = "") -> Iterator[TimedFrame]:
    """The same (time, frame) pairs; frames that say that they are interlaced become whole pictures.

    fields  as in Grid: with "tff" or "bff", all frames are interlaced, whatever they say
    The first such frame starts the filter, together with the frame before it. A frame depends on its two neighbours and on
    nothing else, so it is the same wherever reading starts, if that is at least one frame earlier.
    """
    source = iter(frames)
    before: list[tuple[None, av.VideoFrame]] = []
    for time, frame in source:
        if fields or frame.interlaced_frame:
            yield from _filter_fields(chain(before, [(time, frame)], source), fields)
            return
        yield time, frame
        before = [(None, frame)]


def _filter_fields(frames: Iterable[tuple[Fraction | None, av.VideoFrame]], fields: str) -> Iterator[TimedFrame]:
    """(time, frame) through bwdif. A frame without a time is only a neighbour. Another size or format starts the filter anew."""
    graph, shape = None, None
    times: deque[Fraction | None] = deque()
    for time, frame in frames:
        if graph is None or shape != (frame.width, frame.height, frame.format.name):
            if graph is not None:
                graph.vpush(None)
                yield from _pull_frames(graph, times)
            shape = frame.width, frame.height, frame.format.name
            graph = _open_graph(
                frame, "bwdif", mode="send_frame", parity=fields or "auto", deint="all" if fields else "interlaced"
            )
        graph.vpush(frame)
        times.append(time)
        yield from _pull_frames(graph, times)
    if graph is not None:
        graph.vpush(None)
        yield from _pull_frames(graph, times)


def _pull_frames(graph: Any, times: deque[Fraction | None]) -> Iterator[TimedFrame]:
    """The frames that the graph has ready, each with the next of `times`."""
    import av

    while times:
        try:
            picture = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if (time := times.popleft()) is not None:
            yield time, picture


def _open_graph(like: av.VideoFrame, name: str, **options: str) -> Any:
    """One filter for pictures like this one. It runs in one thread, because other clips keep the other cores busy."""
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=like.width, height=like.height, format=like.format, time_base=like.time_base or Fraction(1, 1000)
    )
    graph.link_nodes(source, graph.add(name, **options), graph.add("buffersink")).configure()
    return graph


# ── colours ──────────────────────────────────────────────────────────────────────────────────────────────────


def map_colours(picture: av.VideoFrame, white: int, tools: dict[Any, Any]) -> av.VideoFrame:
    """The picture in BT.709: itself where it is that already, otherwise RGB (10 bit, full range) of the same size.

    white   as in Grid; it counts for HDR only
    tools   what is kept from picture to picture: converters and tables
    """
    if (colours := find_colours(picture)) is None:
        return picture
    import av
    from av.video.reformatter import ColorRange

    converter = tools.setdefault(TABLE_LAYOUT, av.video.reformatter.VideoReformatter())
    rgb = converter.reformat(
        picture, format=TABLE_LAYOUT, src_colorspace=MATRICES.get(int(picture.colorspace), 9), dst_color_range=ColorRange.JPEG
    )
    key = colours, white, rgb.width, rgb.height
    if key not in tools:
        tools[key] = _open_table(rgb, make_table(colours, white))
    tools[key].vpush(rgb)
    mapped = tools[key].vpull()
    mapped.colorspace, mapped.color_range, mapped.color_trc, mapped.color_primaries = RGB_MATRIX, ColorRange.JPEG, BT709, BT709
    return mapped


def _open_table(like: av.VideoFrame, table: NDArray[np.float64]) -> Any:
    """A filter that looks colours up in a table (red, green, blue, 3), and interpolates between its entries."""
    rows = table.transpose(2, 1, 0, 3).reshape(-1, 3)  # red changes fastest
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/table.cube"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"LUT_3D_SIZE {len(table)}\n" + "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in rows))
        return _open_graph(like, "lut3d", file=path, interp="tetrahedral")


def make_table(colours: Colours, white: int) -> NDArray[np.float64]:
    """The colours of BT.709 for a cube of code values: (33, 33, 33, 3), indices red, green, blue, all values in 0..1."""
    import numpy as np

    steps = np.linspace(0, 1, TABLE_SIZE)
    return convert_to_bt709(np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1), colours, white)


def convert_to_bt709(rgb: NDArray[np.float64], colours: Colours, white: int = 203) -> NDArray[np.float64]:
    """Code values (..., 3) in 0..1 of one kind, as those of BT.709 that look the same on an ordinary display.

    white  of HDR: cd/m² that become the white of BT.709, or nearly; footage with white at 100 has nothing above it
    """
    import numpy as np

    if colours in ("hlg", "pq"):
        light = (decode_hlg if colours == "hlg" else decode_pq)(rgb) * (SDR_PEAK_CD_M2 / white)
        if white > SDR_PEAK_CD_M2:
            light = compress_highlights(light, HDR_PEAK_CD_M2 * SDR_PEAK_CD_M2 / white)
        light = light / SDR_PEAK_CD_M2
    else:
        light = rgb**SDR_GAMMA
    to_bt709 = np.linalg.inv(matrix_to_xyz("bt709")) @ matrix_to_xyz("p3" if colours == "p3" else "bt2020")
    return np.asarray(np.clip(light @ to_bt709.T, 0, 1) ** (1 / SDR_GAMMA))


def decode_hlg(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m² of a display of 1000 cd/m² for code values (..., 3) of hybrid log-gamma (BT.2100, table 5)."""
    import numpy as np

    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return HDR_PEAK_CD_M2 * scene * ((scene @ np.array(LUMA_2020)) ** 0.2)[..., None]


def decode_pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m² for code values of the perceptual quantiser (BT.2100, table 4; SMPTE ST 2084)."""
    import numpy as np

    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.asarray(code, np.float64) ** (1 / m2)
    return np.asarray(10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))


def encode_pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `decode_pq`."""
    import numpy as np

    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (np.asarray(light, np.float64) / 10000) ** m1
    return np.asarray(((c1 + c2 * power) / (1 + c3 * power)) ** m2)


def compress_highlights(light: NDArray[np.float64], brightest: float) -> NDArray[np.float64]:
    """Light (..., 3) of up to `brightest` cd/m² brought into 100 cd/m² (BT.2390, section 5.4). What is dark does not change."""
    import numpy as np

    largest = light.max(axis=-1, keepdims=True)
    peak = encode_pq(np.array(brightest))
    code, top = np.minimum(encode_pq(largest) / peak, 1), encode_pq(np.array(SDR_PEAK_CD_M2)) / peak
    knee = 1.5 * top - 0.5
    t = (np.maximum(code, knee) - knee) / (1 - knee)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    goal = np.where(code < knee, largest, decode_pq(bent * peak))
    return np.asarray(light * (goal / np.maximum(largest, 1e-6)))


def matrix_to_xyz(primaries: str) -> NDArray[np.float64]:
    """(3, 3): red, green and blue of a set of primaries (`XY_OF_PRIMARIES`) to CIE XYZ, white at luminance 1."""
    import numpy as np

    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in XY_OF_PRIMARIES[primaries]]).T
    x, y = XY_OF_WHITE
    return np.asarray(xyz * np.linalg.solve(xyz, np.array([x / y, 1, (1 - x - y) / y])))
