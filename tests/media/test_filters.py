"""HDR looks as the ordinary original, interlaced frames have no combs, and ordinary footage is not touched."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from deemo_data.clip import Clip
from deemo_data.errors import MediaError
from deemo_data.media import filters
from deemo_data.media.container import decode_frames, open_container
from deemo_data.media.frames import read_frames
from tests.makers.broadcast_films import (
    code_light,
    comb_share,
    measure_psnr,
    scene,
    write_interlaced_film,
    write_wide_film,
)
from tests.makers.numbered_films import even, ffmpeg, film, part, whole
from tests.media.test_orientation import set_matrix


def measure_look(rgb: np.ndarray) -> tuple[float, float, float]:
    """Mean and standard deviation of the luma, and the mean distance of the colours from grey."""
    y, r, b = (p.astype(float) for p in cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)))
    return float(y.mean()), float(y.std()), float(np.hypot(r - 128, b - 128).mean())


def kinds(path: Path) -> list[str]:
    return [n.kind for n in filters.survey_pictures(path).notices]


# ── HDR and wide colours ─────────────────────────────────────────────────────────────────────────────────────

CODECS = [
    ("mov", "libx265", "yuv420p10le"), ("mp4", "libx264", "yuv420p10le"), ("mkv", "libsvtav1", "yuv420p10le"),
    ("webm", "libvpx-vp9", "yuv420p"), ("ts", "libx265", "yuv422p10le"),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "codec", "layout"), CODECS, ids=lambda v: str(v))
@pytest.mark.parametrize("kind", ["hlg", "pq"])
@pytest.mark.parametrize("white", [100, 203])
def test_hdr_looks_as_the_ordinary_original(tmp_path: Path, kind: str, white: int, ending: str, codec: str, layout: str) -> None:
    pictures = [scene(n) for n in range(5)]
    source = whole(write_wide_film(tmp_path / f"film.{ending}", pictures, kind, white, codec, layout))
    assert source.grid.white == white, "the notice says it"
    assert kinds(source.path("source")) == ["tone_mapped"]
    for frame in read_frames(source):
        got, original = frame.rgb(), pictures[frame.index]
        mean, spread, colour = measure_look(got)
        right = measure_look(original)
        assert mean == pytest.approx(right[0], rel=0.06)
        assert spread == pytest.approx(right[1], rel=0.12)
        assert colour == pytest.approx(right[2], rel=0.12)
        assert measure_psnr(got, original) > (33 if white == 100 else 28)


def test_all_looks_at_a_frame_are_of_the_same_picture(tmp_path: Path) -> None:
    source = whole(write_wide_film(tmp_path / "film.mov", [scene(0), scene(1)], "hlg"))
    frame = next(read_frames(source))
    rgb = frame.rgb()
    np.testing.assert_array_equal(frame.bgr()[..., ::-1], rgb)
    assert measure_psnr(cv2.cvtColor(frame.yuv(), cv2.COLOR_YUV2RGB_I420), rgb) > 30
    assert measure_psnr(frame.rgb(96, 72), cv2.resize(rgb, (96, 72), interpolation=cv2.INTER_AREA)) > 28


@pytest.mark.parametrize("kind", ["bt2020", "p3"])
@pytest.mark.parametrize("full", [False, True])
def test_wide_colours_are_brought_to_bt709(tmp_path: Path, kind: str, full: bool) -> None:
    source = whole(write_wide_film(tmp_path / "film.mkv", [scene(0), scene(1)], kind, full=full))
    assert kinds(source.path("source")) == ["colours_narrowed"]
    assert [measure_psnr(f.rgb(), scene(f.index)) > 33 for f in read_frames(source)] == [True, True]


def test_hdr_in_full_range(tmp_path: Path) -> None:
    source = whole(write_wide_film(tmp_path / "film.mp4", [scene(0)], "hlg", 100, "libx264", full=True))
    assert measure_psnr(next(read_frames(source)).rgb(), scene(0)) > 33


def test_a_clip_from_the_middle_has_the_same_colours(tmp_path: Path) -> None:
    source = whole(write_wide_film(tmp_path / "film.mkv", [scene(n, 96, 72) for n in range(150)], "pq", codec="libx264"))
    expected = {f.index: f.yuv().tobytes() for f in read_frames(source)}
    assert [f.yuv().tobytes() for f in read_frames(part(source, 130, 140))] == [expected[k] for k in range(130, 140)]


@pytest.mark.parametrize("kind", ["hlg", "pq", "bt2020", "p3"])
def test_the_table_is_as_good_as_the_formula(kind: filters.Colours) -> None:
    rgb = scene(0)
    code = code_light(rgb, kind, 100)
    back = filters.convert_to_bt709(code, kind, 100)
    assert np.quantile(np.abs(back * 255 - rgb), 0.99) < 3, "the formulas are each other's inverse"
    frame = av.VideoFrame.from_ndarray(np.rint(code * 1023).astype(np.uint16), format="gbrp10le")
    frame.color_primaries, frame.color_trc = {"hlg": (9, 18), "pq": (9, 16), "bt2020": (9, 14), "p3": (12, 1)}[kind]
    frame.color_range, frame.pts = 2, 0
    mapped = filters.map_colours(frame, 100, {}).to_ndarray() / 1023
    assert np.abs(mapped - back).mean() * 255 < 0.5


def test_highlights_are_bent_and_do_not_turn_back() -> None:
    grey = np.repeat(np.linspace(0, 1, 500)[:, None], 3, axis=1)
    for kind in ("hlg", "pq"):
        shown = filters.convert_to_bt709(grey, kind, 203)[:, 0]  # type: ignore[arg-type]
        assert (np.diff(shown) >= -1e-9).all()
        assert shown[0] == pytest.approx(0, abs=0.01)
        assert shown[-1] == pytest.approx(1, abs=0.01)
    at_white = filters.convert_to_bt709(np.full((1, 3), 0.58), "pq", 203)[0, 0]  # 203 cd/m²
    assert 0.88 < at_white < 0.95, "brighter things have room above a white sheet"


def test_ordinary_footage_is_not_touched(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mp4", even(Fraction(25), 30)))
    assert (source.grid.white, source.grid.fields) == (0, "")
    assert set(source.facts["grid"]) == {"fps", "vfr", "zero", "frames", "width", "height"}
    assert all(f.shown is f.picture for f in read_frames(source))
    frames = decoded(source)
    assert all(a is b for (_, a), (_, b) in zip(filters.deinterlace_frames(frames), frames, strict=True))


@pytest.mark.parametrize(("matrix", "name"), [(14, "ICtCp"), (15, "Dolby Vision")])
def test_colours_that_nothing_here_can_read_are_refused(tmp_path: Path, matrix: int, name: str) -> None:
    film(tmp_path / "plain.mp4", even(Fraction(25), 5))
    ffmpeg(
        "-i", tmp_path / "plain.mp4", "-c", "copy", "-bsf:v", f"h264_metadata=matrix_coefficients={matrix}", tmp_path / "odd.mp4"
    )
    with pytest.raises(MediaError, match=rf"odd\.mp4: its pictures are coded in .*{name}"):
        whole(tmp_path / "odd.mp4")


# ── interlaced footage ───────────────────────────────────────────────────────────────────────────────────────


def decoded(source: Clip) -> list[tuple[Fraction, av.VideoFrame]]:
    with open_container(source.path("source")) as container:
        return list(decode_frames(container, container.streams.video[0]))


def measure_moving_part(*pictures: np.ndarray | av.VideoFrame) -> list[np.ndarray]:
    """The luma (0..255) of the lower half of pictures, in which the bar moves."""
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) if isinstance(p, np.ndarray) else p.to_ndarray(format="gray") for p in pictures]
    return [p[len(p) // 2 :] for p in grey]


INTERLACED = [
    ("mpg", "mpeg2video", {"flags": "+ildct+ilme", "qmin": "1"}, (192, 144), True),
    ("ts", "libx264", {"x264-params": "tff=1", "qp": "8"}, (192, 144), True),
    ("mkv", "libx264", {"x264-params": "bff=1", "qp": "8"}, (192, 160), False),
    ("avi", "dvvideo", {}, (720, 576), False),
]


@pytest.mark.parametrize(("ending", "codec", "options", "size", "top_first"), INTERLACED, ids=lambda v: str(v)[:12])
def test_interlaced_frames_become_whole_pictures(
    tmp_path: Path, ending: str, codec: str, options: dict[str, str], size: tuple[int, int], top_first: bool
) -> None:
    source = whole(write_interlaced_film(tmp_path / f"film.{ending}", 12, size, codec, options, top_first))
    assert source.grid.frames == 12
    assert kinds(source.path("source")) == ["deinterlaced"]
    for frame, (_, combed) in zip(read_frames(source), decoded(source), strict=True):
        early, got, before = measure_moving_part(scene(2 * frame.index, *size), frame.picture, combed)
        assert comb_share(got) < 0.25 * comb_share(before)
        assert measure_psnr(got, early) > measure_psnr(before, early) + 4, "it is the picture of the first field"


@pytest.mark.parametrize("bframes", [0, 2])
def test_a_clip_from_the_middle_of_interlaced_footage(tmp_path: Path, bframes: int) -> None:
    options = {"x264-params": f"tff=1:bframes={bframes}", "qp": "10"}
    source = whole(write_interlaced_film(tmp_path / "film.mp4", 200, (96, 64), "libx264", options))
    expected = {f.index: f.yuv().tobytes() for f in read_frames(source)}
    assert len(expected) == 200
    for first, end in [(0, 5), (99, 111), (150, 153), (199, 200)]:
        assert [f.yuv().tobytes() for f in read_frames(part(source, first, end))] == [expected[k] for k in range(first, end)]


@pytest.mark.parametrize(("height", "top_first"), [(480, True), (576, True), (576, False)])
def test_interlaced_frames_that_do_not_say_so_are_found(tmp_path: Path, height: int, top_first: bool) -> None:
    size = (320, height)
    source = whole(write_interlaced_film(tmp_path / "film.mp4", 40, size, "libx264", {"qp": "12"}, top_first))
    assert source.grid.fields == ("tff" if top_first else "bff")
    assert kinds(source.path("source")) == ["deinterlaced"]
    for frame, (_, combed) in zip(read_frames(source), decoded(source), strict=True):
        early, got, before = measure_moving_part(scene(2 * frame.index, *size), frame.picture, combed)
        assert measure_psnr(got, early) > measure_psnr(before, early) + 4


def test_whole_pictures_of_the_height_of_television_are_left_alone(tmp_path: Path) -> None:
    moving = film(tmp_path / "film.mp4", even(Fraction(25), 40), (320, 480), show=scene)
    assert filters.survey_pictures(moving) == filters.Survey()


def test_a_film_that_is_interlaced_only_later(tmp_path: Path) -> None:
    """All frames come through, in order; those before the first interlaced one as they are."""
    whole_pictures = film(tmp_path / "a.ts", even(Fraction(25), 20), (192, 144), show=scene)
    interlaced = write_interlaced_film(tmp_path / "b.ts", 20, (192, 144), "libx264", {"x264-params": "tff=1", "qp": "8"})
    frames = []
    for path in (whole_pictures, interlaced):
        with open_container(path) as container:
            frames += [f for _, f in decode_frames(container, container.streams.video[0])]
    timed = [(Fraction(n, 25), f) for n, f in enumerate(frames)]
    got = list(filters.deinterlace_frames(timed))
    assert [t for t, _ in got] == [t for t, _ in timed]
    assert all(a is b for (_, a), (_, b) in zip(got[:20], timed[:20], strict=True))
    assert max(comb_share(f.to_ndarray(format="gray")) for _, f in got[20:]) < 0.002
    from_the_middle = list(filters.deinterlace_frames(timed[15:]))
    assert [f.to_ndarray().tobytes() for _, f in from_the_middle] == [f.to_ndarray().tobytes() for _, f in got[15:]]


def test_another_size_on_the_way_starts_the_filter_anew(tmp_path: Path) -> None:
    frames = []
    for k, size in enumerate([(192, 144), (96, 64)]):
        path = write_interlaced_film(tmp_path / f"{k}.ts", 6, size, "libx264", {"x264-params": "tff=1", "qp": "8"})
        with open_container(path) as container:
            frames += [f for _, f in decode_frames(container, container.streams.video[0])]
    got = list(filters.deinterlace_frames((Fraction(n), f) for n, f in enumerate(frames)))
    assert [(int(t), f.width) for t, f in got] == [(n, 192 if n < 6 else 96) for n in range(12)]


def test_interlaced_footage_that_lies_on_its_side(tmp_path: Path) -> None:
    write_interlaced_film(tmp_path / "film.mp4", 8, (192, 144), "libx264", {"x264-params": "tff=1", "qp": "8"})
    source = whole(set_matrix(tmp_path / "film.mp4", (0, 1, -1, 0)))
    assert (source.grid.width, source.grid.height) == (144, 192)
    upright = [np.rot90(scene(2 * n), -1) for n in range(8)]
    assert min(measure_psnr(f.rgb(), upright[f.index]) for f in read_frames(source)) > 25


@pytest.mark.parametrize("kind", ["hlg", "pq"])
def test_the_cases_that_came_out_washed(media: Path, kind: str) -> None:
    """Made from footage whose luma has mean 22.5 and deviation 28.3 (shared/cases/hdr_washed); 16.3 and 24.5 were seen."""
    path = media.parent / "cases" / "hdr_washed" / f"{kind}10.mov"
    if not path.exists():
        pytest.skip("no ../shared/cases")
    looks = np.mean([measure_look(f.rgb()) for f in read_frames(whole(path), every=10)], axis=0)
    assert 21 < looks[0] < 27
    assert 24 < looks[1] < 31
    assert looks[2] > 7, "saturation is back: 4.4 and 5.4 without tone mapping"


def test_the_case_with_combs(media: Path) -> None:
    path = media.parent / "cases" / "interlaced" / "inter50.mpg"
    if not path.exists():
        pytest.skip("no ../shared/cases")
    source = whole(path)
    combs = [comb_share(f.yuv()[: f.grid.height]) for f in read_frames(replace(source, end_ms=1600))]
    assert len(combs) == 40
    assert max(combs) < 0.001, "0.03 without a filter"
