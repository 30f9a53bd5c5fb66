"""What is encoded is what went in, without tags, with the same bytes each time and the same colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from deemo_data.clip import Clip, Grid
from deemo_data.errors import MediaError
from deemo_data.media import encode, sound
from deemo_data.media.ffmpeg import join_video_and_sound
from deemo_data.media.frames import read_frames
from tests.makers.numbered_films import EVEN, even, ffmpeg, film, loud, number_in, numbers, part, picture, whole


def render(tmp_path: Path, source: Clip, name: str = "out", crf: int = 18) -> Path:
    """What mask_video, anonymise_voice and assemble do, without covering anything."""
    count = encode.write_video(
        tmp_path / f"{name}.video.mp4", (f.yuv() for f in read_frames(source)), source.grid, crf, "veryfast"
    )
    assert count == source.num_frames
    sound.write_wav(tmp_path / f"{name}.wav", sound.read_sound(source))
    join_video_and_sound(tmp_path / f"{name}.video.mp4", tmp_path / f"{name}.wav", tmp_path / f"{name}.mp4")
    return tmp_path / f"{name}.mp4"


def streams(path: Path) -> dict[str, tuple[Fraction, Fraction]]:
    """{kind: (start, length)} in seconds, as the file says."""
    with av.open(str(path)) as container:
        return {s.type: (s.start_time * s.time_base, s.duration * s.time_base) for s in container.streams}


@pytest.mark.parametrize("fps", EVEN, ids=str)
@pytest.mark.parametrize("count", [1, 31, 100])
def test_what_is_written_is_what_went_in(tmp_path: Path, fps: Fraction, count: int) -> None:
    made = film(
        tmp_path / "film.mkv", even(fps, 120, Fraction(3, 2)), (96, 72), bframes=2, clicks=[Fraction(2)], sound_from=Fraction(1)
    )
    source = whole(made)
    clip = part(source, 10, 10 + count)
    out = render(tmp_path, clip)
    again = whole(out)
    assert again.grid == Grid(fps, False, Fraction(0), count, 96, 72) or count == 1
    assert numbers(again) == list(range(10, 10 + count))
    got = streams(out)
    assert got["video"][0] == got["audio"][0] == 0
    assert abs(got["video"][1] - count / fps) < Fraction(1, 1000)
    assert abs(got["audio"][1] - got["video"][1]) <= Fraction(1, 1000), "streams of unequal length"
    if count == 100:
        begins = Fraction(1, 2) - 10 / fps
        heard = loud(sound.read_sound(again))
        assert abs(heard[0] / 16_000 - begins) < 0.002 if begins > 0 else True


def test_nothing_says_who_made_it_or_from_what(tmp_path: Path) -> None:
    film(tmp_path / "film.mkv", even(Fraction(25), 50), (96, 72), clicks=[], seconds=2)
    tagged = tmp_path / "tagged.mkv"
    (tmp_path / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=JANEDOE\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=JANEDOE\n"
    )
    (tmp_path / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nJANEDOE\n")
    inputs = ["-i", tmp_path / "film.mkv", "-i", tmp_path / "chapters.txt", "-i", tmp_path / "s.srt"]
    kept = ["-map", "0", "-map", "2", "-map_metadata", "1", "-map_chapters", "1", "-c", "copy"]
    ffmpeg(*inputs, *kept, "-metadata:s:v", "title=JANEDOE", "-metadata", "location=+52.5+013.4/", tagged)
    assert tagged.read_bytes().count(b"JANEDOE") >= 3
    out = render(tmp_path, whole(tagged))
    raw = out.read_bytes()
    for word in (b"JANEDOE", b"+52.5", b"x264", b"Lavf", b"Lavc", b"film", b"tagged", str(tmp_path).encode()):
        assert word not in raw, word
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        assert not container.chapters()
        told = dict(container.metadata) | {k: v for s in container.streams for k, v in s.metadata.items()}
        what_every_mp4_says = {"major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}
        assert set(told) <= what_every_mp4_says
        assert told["language"] == "und"
        assert told["handler_name"] in ("VideoHandler", "SoundHandler")
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert raw.index(b"moov") < raw.index(b"mdat"), "a page can begin to play it"
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        assert raw[raw.index(box) + 8 : raw.index(box) + 16] == bytes(8), f"{box!r} tells when it was made"


def test_an_encoder_that_is_not_here_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    grid = Grid(Fraction(25), False, Fraction(0), 2, 256, 256)
    with pytest.raises(MediaError, match=r'h264_nvenc cannot be opened: .*encoder = "libx264"'):
        encode.write_video(tmp_path / "film.mp4", [np.zeros((384, 256), np.uint8)] * 2, grid, 21, "veryfast", "h264_nvenc")


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 80), (160, 120), clicks=[Fraction(1)]))
    assert render(tmp_path, source, "a").read_bytes() == render(tmp_path, source, "b").read_bytes()


def colours(number: int, width: int, height: int) -> np.ndarray:
    """Six columns of colour, far apart."""
    names = np.array([[200, 60, 50], [60, 180, 70], [50, 80, 200], [235, 235, 235], [25, 25, 25], [210, 160, 130]], np.uint8)
    row = names[np.arange(width) * 6 // width]
    return np.ascontiguousarray(np.repeat(row[None], height, axis=0))


def seen(path: Path) -> np.ndarray:
    """(6, 3) middle of each column as a player shows it: BT.601 unless the file says otherwise."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        matrix = {1: "ITU709"}.get(int(frame.colorspace), "ITU601")
        assert int(frame.colorspace) != 2 or path.suffix == ".mkv", "a player would have to guess"
        rgb = frame.reformat(format="rgb24", src_colorspace=matrix, dst_color_range="JPEG").to_ndarray().astype(int)
    height, width = rgb.shape[:2]
    return np.array(
        [
            rgb[height // 4 : height // 2, (2 * c + 1) * width // 12 - 2 : (2 * c + 1) * width // 12 + 2].mean((0, 1))
            for c in range(6)
        ]
    )


@pytest.mark.parametrize("layout", ["yuv420p", "yuvj420p", "yuv444p", "yuv422p"])
def test_colours_stay(tmp_path: Path, layout: str) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 10), (240, 96), layout=layout, show=colours))
    expected = colours(0, 240, 96)[0, [20, 60, 100, 140, 180, 220]].astype(int)
    out = render(tmp_path, source)
    assert np.abs(seen(out) - expected).max() <= 6
    with av.open(str(out)) as container:
        assert int(next(container.decode(video=0)).color_range) in (0, 1), "limited range, or players darken it"
    frame = next(read_frames(source))
    middle = frame.rgb()[30:60, [20, 60, 100, 140, 180, 220]].mean(0)
    assert np.abs(middle - expected).max() <= 6
    np.testing.assert_array_equal(frame.bgr(), frame.rgb()[:, :, ::-1])


@pytest.mark.parametrize("size", [(240, 96), (1280, 720)], ids=str)
@pytest.mark.parametrize("matrix", [("bt709", "1"), ("smpte170m", "6")], ids=lambda x: x[0])
def test_colours_of_another_matrix_stay(tmp_path: Path, matrix: tuple[str, str], size: tuple[int, int]) -> None:
    film(tmp_path / "plain.mkv", even(Fraction(25), 3), size, layout="yuv444p", show=colours)
    turned = f"scale=in_color_matrix=smpte170m:out_color_matrix={matrix[0]},format=yuv420p"
    named = [word for what in ("colorspace", "color_primaries", "color_trc") for word in (f"-{what}", matrix[1])]
    ffmpeg("-i", tmp_path / "plain.mkv", "-vf", turned, *named, "-c:v", "libx264", "-crf", "12", tmp_path / "film.mkv")
    columns = [(2 * c + 1) * size[0] // 12 for c in range(6)]
    expected = colours(0, *size)[0, columns].astype(int)
    assert np.abs(seen(tmp_path / "film.mkv") - expected).max() <= 6, "or nothing is tested"
    source = whole(tmp_path / "film.mkv")
    assert np.abs(next(read_frames(source)).rgb()[30:60, columns].mean(0) - expected).max() <= 6
    assert np.abs(seen(render(tmp_path, source)) - expected).max() <= 8


@pytest.mark.parametrize(("width", "size"), [(0, (320, 240)), (80, (80, 60)), (101, (101, 76))])
def test_a_still_is_a_jpeg_of_that_width(width: int, size: tuple[int, int]) -> None:
    rgb = picture(1234, 320, 240)
    jpeg = encode.encode_jpeg(rgb, 80, width)
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[1::-1] == size
    assert number_in(shown) == 1234
    assert len(encode.encode_jpeg(rgb, 20, width)) < len(jpeg), "quality counts"


@pytest.mark.parametrize(("size", "matrix"), [((640, 480), 5), ((1280, 720), 1)])
def test_a_file_says_which_colours_it_has(tmp_path: Path, size: tuple[int, int], matrix: int) -> None:
    """Limited range, primaries and transfer of BT.709, and the matrix that players assume at the size."""
    grid = Grid(Fraction(25), False, Fraction(0), 3, *size)
    grey = np.full((size[1] * 3 // 2, size[0]), 120, np.uint8)
    encode.write_video(tmp_path / "video.mp4", [grey] * 3, grid, 20, "veryfast")
    sound.write_wav(tmp_path / "voice.wav", np.zeros(1920, np.float32))
    join_video_and_sound(tmp_path / "video.mp4", tmp_path / "voice.wav", tmp_path / "out.mp4")
    for name in ("video.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
        assert (int(frame.color_range), int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)) == (
            1,
            1,
            1,
            matrix,
        )
