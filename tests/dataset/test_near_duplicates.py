"""Near-duplicates: what was encoded anew is found, what only looks alike is not, and flat pictures say nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deemo_data.clip import Clip
from deemo_data.dataset import near_duplicates
from deemo_data.dataset.near_duplicates import NearDuplicate, find_near_duplicates, perceptual_hash
from deemo_data.files import File
from tests.makers.films import write_film
from tests.makers.labels import clip_at


def clip(number: int, subject: str, source: str = "", start: int = 0, end: int = 100) -> Clip:
    made = clip_at(start, end, source or f"v-{number}")
    files = {"video": File("/nowhere.mp4", f"{number:064x}")}
    return replace(made, id=f"c-{number}", files=files, facts=made.facts | {"subject": subject})


def apart(a: str, b: str) -> float:
    one, other = (np.frombuffer(bytes.fromhex(x), np.uint64)[None] for x in (a, b))
    return float(near_duplicates._hamming_distances(one, other)[0, 0]) / 3


def test_a_video_encoded_anew_looks_the_same(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", 1)
    write_film(tmp_path / "b.mp4", 1, Fraction(25), crf=23)
    write_film(tmp_path / "c.mp4", 2)
    a, b, c = (perceptual_hash(tmp_path / f"{n}.mp4") for n in "abc")
    assert len(a) == 3 * 64
    assert apart(a, b) <= 5 < 50 < apart(a, c)


def test_flat_and_broken_videos_have_no_looks(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "flat.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for _ in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((36, 64, 3), 128, np.uint8), format="rgb24")))
        out.mux(stream.encode())
    (tmp_path / "none.mp4").write_bytes(b"no video")
    assert (
        perceptual_hash(tmp_path / "flat.mp4")
        == perceptual_hash(tmp_path / "none.mp4")
        == perceptual_hash(tmp_path / "gone.mp4")
        == ""
    )


SAME = "ab" * 96


def test_pairs_are_found_by_bytes_span_and_looks() -> None:
    bytes_ = [clip(1, "s-1"), replace(clip(2, "s-2"), files=clip(1, "").files)]
    spans = [clip(3, "s-3", "v-x", 0, 100), clip(4, "s-4", "v-x", 60, 160), clip(5, "s-5", "v-x", 160, 200)]
    pictures = [clip(6, "s-6"), clip(7, "s-7"), clip(8, "s-7")]
    looks_of = {"c-6": SAME, "c-7": SAME[:-2] + "aa", "c-8": "12" * 96, "c-1": ""}
    found = find_near_duplicates([*bytes_, *spans, *pictures], looks_of, 5)
    assert found == [
        NearDuplicate(("c-1", "c-2"), ("s-1", "s-2"), "have the same video"),
        NearDuplicate(("c-3", "c-4"), ("s-3", "s-4"), "overlap in their source"),
        NearDuplicate(("c-6", "c-7"), ("s-6", "s-7"), "look the same"),
    ]
    assert find_near_duplicates(pictures, looks_of, 0) == []


def test_one_subjects_clips_may_look_the_same() -> None:
    same = [clip(1, "s-1", "v-x"), clip(2, "s-1", "v-x", 50, 150)]
    assert find_near_duplicates(same, {"c-1": SAME, "c-2": SAME}, 5) == []


def test_every_two_subjects_are_tied_however_many_clips_look_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "CLIPS_PER_BLOCK", 4)
    clips = [clip(n, f"s-{n % 5}") for n in range(30)]
    found = find_near_duplicates(clips, {c.id: SAME for c in clips}, 5)
    assert {p.subjects for p in found} >= {(f"s-{a}", f"s-{b}") for a in range(5) for b in range(a + 1, 5)} - {
        p.subjects[::-1] for p in found
    }
    assert len(found) < 30 * 29 / 2


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("event_1s_h264_mp3.mp4", "event_1s_h265_aac.mp4", True), ("event_1s_h264_mp3.mp4", "event_1s_vp8_opus.webm", True),
        ("event_1s_mpeg4_aac.mp4", "event_1s_theora_vorbis.ogg", True), ("asl_bird.mkv", "asl_milk.mkv", False),
        ("asl_again.mkv", "asl_no.mkv", False), ("grid_bbaf2n.mpg", "grid_brbk7n.mpg", False),
    ],
)  # fmt: skip
def test_on_real_footage(media: Path, a: str, b: str, same: bool) -> None:
    """One shot in six codecs is one shot; other signs of the same people before the same wall are not."""
    assert (apart(perceptual_hash(media / "video" / a), perceptual_hash(media / "video" / b)) <= 5) == same
