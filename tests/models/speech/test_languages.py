"""Which language is spoken when: windows, their scores, and the stretches that they add up to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.models.speech import languages, silero, whisper
from deemo_data.models.speech.languages import Window


def window(start_s: float, end_s: float, english: float, understanding: float | None = None, other: str = "de") -> Window:
    return Window(round(start_s * 1000), round(end_s * 1000), english, {other: round(1 - english, 4)}, understanding)


def stretches_of(*windows: Window, end_s: float = 60) -> list[tuple[float, float, str]]:
    return [(s.start_ms / 1000, s.end_ms / 1000, s.language) for s in languages.find_stretches(windows, round(end_s * 1000))]


GAPS = st.lists(st.tuples(st.integers(0, 1500), st.integers(1, 14_000)), max_size=12)


@given(GAPS)
def test_windows_cover_the_speech_and_are_no_longer_than_five_seconds(steps: list[tuple[int, int]]) -> None:
    spans, at = [], 0
    for gap, length in steps:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    planned = languages.plan_windows(spans)
    assert all(0 < end - start <= languages.WINDOW_MS for start, end in planned)
    assert all(a[1] <= b[0] for a, b in pairwise(planned))
    for start, end in spans:
        covered = sum(max(0, min(end, b) - max(start, a)) for a, b in planned)
        assert covered == end - start
    assert sum(b - a for a, b in planned) <= sum(e - s for s, e in spans) + languages.JOINED_PAUSE_MS * len(spans)


ANY_WINDOW = st.tuples(st.floats(0, 1), st.one_of(st.none(), st.floats(-3, 0)), st.integers(200, 5000), st.integers(0, 3000))


@given(st.lists(ANY_WINDOW, max_size=7))
def test_the_best_sequence_is_found_and_its_stretches_cover_the_source(rows: list[tuple[float, float | None, int, int]]) -> None:
    windows, at = [], 0
    for english, understanding, length, gap in rows:
        windows.append(Window(at + gap, at + gap + length, english, {"de": 0.5}, understanding))
        at += gap + length
    found = languages.find_english(windows)
    scores = [languages.score_window(w) for w in windows]

    def add_up(sequence: tuple[bool, ...] | list[bool]) -> float:
        changes = sum(a != b for a, b in pairwise(sequence))
        return sum(s if english else -s for s, english in zip(scores, sequence, strict=True)) - languages.CHANGE_COST * changes

    assert add_up(found) >= max(add_up(p) for p in product((True, False), repeat=len(windows))) - 1e-9
    stretches = languages.find_stretches(windows, at + 500)
    if not windows:
        assert stretches == []
        return
    assert (stretches[0].start_ms, stretches[-1].end_ms) == (0, at + 500)
    assert all(a.end_ms == b.start_ms and (a.language == "en") != (b.language == "en") for a, b in pairwise(stretches))
    for w, english in zip(windows, found, strict=True):
        [own] = [s for s in stretches if s.start_ms <= w.start_ms < s.end_ms]
        assert (own.language == "en") == english
        assert w.end_ms <= own.end_ms


def test_one_language_is_one_stretch_of_all_the_source() -> None:
    assert stretches_of(window(2, 7, 0.98), window(9, 14, 0.97)) == [(0, 60, "en")]
    assert stretches_of(window(2, 7, 0.03), window(9, 14, 0.02)) == [(0, 60, "de")]
    assert stretches_of() == []


def test_a_stretch_of_another_language_reaches_to_the_english_on_both_sides() -> None:
    asked, answered = window(0.5, 5, 0.98), window(20, 25, 0.98)
    assert stretches_of(asked, window(7, 12, 0.02), window(12, 16, 0.05), answered) == [
        (0, 5, "en"), (5, 20, "de"), (20, 60, "en"),
    ]  # fmt: skip
    assert stretches_of(window(7, 12, 0.02), answered) == [(0, 20, "de"), (20, 60, "en")]
    assert stretches_of(answered, window(30, 35, 0.02)) == [(0, 25, "en"), (25, 60, "de")]


def test_a_short_answer_does_not_change_the_language_and_a_sentence_does() -> None:
    before, after = window(0, 5, 0.98), window(10, 15, 0.97)
    assert stretches_of(before, window(7, 7.6, 0.02), after) == [(0, 60, "en")]  # "yes", taken for another language
    assert [s[2] for s in stretches_of(before, window(6, 9.5, 0.02), after)] == ["en", "de", "en"]
    german = window(0, 5, 0.01), window(10, 15, 0.02)
    assert stretches_of(german[0], window(7, 7.6, 0.9), german[1]) == [(0, 60, "de")]  # "okay"


def test_a_language_is_named_by_all_its_windows() -> None:
    windows = [Window(0, 4000, 0.01, {"pt": 0.5, "es": 0.4}), Window(5000, 9000, 0.01, {"it": 0.5, "es": 0.45})]
    assert [s[2:] for s in languages.find_stretches(windows, 9000)] == [("es", 0.425)]


def test_doubt_counts_against_english_unless_it_is_understood() -> None:
    assert stretches_of(window(0, 5, 0.6)) == [(0, 60, "de")]
    assert stretches_of(window(0, 5, 0.64, -1.2)) == [(0, 60, "de")]  # German by espeak
    assert stretches_of(window(0, 5, 0.31, -0.45)) == [(0, 60, "en")]  # a reader of old tales
    assert stretches_of(window(0, 1.4, 0.03, -1.2)) == [(0, 60, "de")]


@pytest.mark.usefixtures("weights")
def test_a_reader_of_english_is_heard_as_english_at_every_length(media: Path) -> None:
    import soundfile

    base, listener = whisper.load(whisper.MULTILINGUAL_WEIGHTS), whisper.load()
    wave, _ = soundfile.read(media / "audio/speakers_librispeech/3005/3005-163389-0003.flac", dtype="float32")
    for seconds in (2, 4, 9):
        windows = languages.listen_for_languages(wave[: seconds * 16_000], base, listener, silero.WEIGHTS)
        assert [s.language for s in languages.find_stretches(windows, seconds * 1000)] == ["en"]
    silence = np.zeros(80_000, np.float32)
    assert languages.listen_for_languages(silence, base, listener, silero.WEIGHTS) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 90)), max_size=6), st.integers(1, 3000))
def test_a_recording_in_blocks_gives_the_same_waves(steps: list[tuple[int, int]], size: int) -> None:
    spans, at = [], 0
    for gap, length in steps:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    wave = np.arange((at + 100) * 16, dtype=np.float32)

    class Blocks:
        def __iter__(self) -> Iterator[np.ndarray]:
            return (wave[i : i + size] for i in range(0, len(wave), size))

    for whole, parted in zip(languages._cut_waves(wave, spans), languages._cut_waves(Blocks(), spans), strict=True):
        assert np.array_equal(whole, parted)
    for (start, end), piece in zip(spans, languages._cut_waves(wave, spans), strict=True):
        assert (piece[0], len(piece)) == (start * 16, (end - start) * 16)
