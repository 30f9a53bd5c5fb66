"""What a person says about voices: kept, checked, laid over the machine's turns, and shown."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.errors import ConfigError, ProjectError
from deemo_data.project import speakers
from deemo_data.project.speakers import change_speakers, format_time, read_speakers, render_turns, write_speakers
from deemo_data.tracks.turns import (
    Turn,
    correct_turns,
    join_turns,
    number_to_letter,
    overlay_turns,
    resolve_speaker,
    sum_speaking_ms,
)

TURNS = [Turn(0, 5000, "A"), Turn(5500, 7000, "B"), Turn(7000, 9000, "A"), Turn(9500, 10_000, "C")]


def test_letters() -> None:
    assert [number_to_letter(i) for i in (0, 1, 25, 26, 27, 51, 52)] == ["A", "B", "Z", "AA", "AB", "AZ", "BA"]
    assert len({number_to_letter(i) for i in range(702)}) == 702


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_was_said(tmp_path: Path) -> None:
    assert read_speakers(tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_what_was_said_is_kept_per_source_and_taken_back(tmp_path: Path) -> None:
    first = change_speakers({}, count=2, roles=["B=subject"])
    assert write_speakers(tmp_path, "one", first)
    assert not write_speakers(tmp_path, "one", first), "the same again changes nothing"
    write_speakers(tmp_path, "two", change_speakers({}, turns=["1-2.5=A"]))
    assert read_speakers(tmp_path) == {"one": {"count": 2, "roles": {"B": "subject"}}, "two": {"turns": [[1000, 2500, "A"]]}}
    assert speakers.speakers_path(tmp_path).stat().st_mode & 0o077 == 0
    write_speakers(tmp_path, "one", {})
    assert list(read_speakers(tmp_path)) == ["two"]


@pytest.mark.parametrize(
    "text",
    [
        "{", "[1]", '{"s": 3}', '{"s": {"speed": 1}}', '{"s": {"count": 0}}', '{"s": {"count": true}}',
        '{"s": {"merge": {"B": 1}}}',
        '{"s": {"merge": {"b": "A"}}}', '{"s": {"roles": {"A": "king"}}}', '{"s": {"turns": [[5, 5, "A"]]}}',
        '{"s": {"turns": [[-1, 5, "A"]]}}', '{"s": {"turns": [[0, 5]]}}', '{"s": {"turns": [[0, 5, "*"]]}}',
        '{"s": {"turns": [[0.5, 5, "A"]]}}',
    ],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, text: str) -> None:
    path = speakers.speakers_path(tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ProjectError, match=r"speakers\.json") as caught:
        read_speakers(tmp_path)
    assert "Mend or remove" in caught.value.advice
    with pytest.raises(ProjectError):
        write_speakers(tmp_path, "other", {"count": 1})
    assert path.read_text() == text, "and nothing is lost"


# ── saying it ────────────────────────────────────────────────────────────────────────────────────────────────


def test_count_is_said_and_left_open_again() -> None:
    once = change_speakers({}, count=3)
    assert once == {"count": 3}
    assert change_speakers(once, count=0) == {}
    assert once == {"count": 3}, "what was before is not touched"


def test_merges_go_all_the_way() -> None:
    once = change_speakers({}, merge=["C=B"])
    assert change_speakers(once, merge=["B=A"]) == {"merge": {"B": "A", "C": "A"}}
    assert change_speakers({}, merge=["B=A", "C=B"]) == {"merge": {"B": "A", "C": "A"}}


def test_one_subject() -> None:
    once = change_speakers({}, roles=["A=subject"])
    assert change_speakers(once, roles=["B=subject"]) == {"roles": {"A": "interviewer", "B": "subject"}}
    assert change_speakers(once, roles=["B=bystander"]) == {"roles": {"A": "subject", "B": "bystander"}}


@pytest.mark.parametrize(
    ("text", "turn"),
    [("12.5-14=A", [12_500, 14_000, "A"]), ("1:02-1:05.25=B", [62_000, 65_250, "B"]),
     ("1:00:00-1:00:01.001=A", [3_600_000, 3_601_001, "A"]),
     ("0-3=-", [0, 3000, "-"]), (" 0.05-0.5=AB ", [50, 500, "AB"])],
)  # fmt: skip
def test_turns_as_people_write_them(text: str, turn: list[Any]) -> None:
    assert change_speakers({}, turns=[text], duration_ms=4_000_000) == {"turns": [turn]}


def test_a_later_turn_wins_over_an_earlier() -> None:
    once = change_speakers({}, turns=["0-10=A", "20-30=A"])
    twice = change_speakers(once, turns=["8-22=B"])
    assert twice["turns"] == [[0, 8000, "A"], [8000, 22_000, "B"], [22_000, 30_000, "A"]]
    assert once["turns"] == [[0, 10_000, "A"], [20_000, 30_000, "A"]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"count": -1}, "not a number of speakers"),
        ({"count": 21}, "not a number of speakers"),
        ({"merge": ["B"]}, "not of the form B=A"),
        ({"merge": ["B="]}, "not of the form B=A"),
        ({"merge": ["b=A"]}, "b is not a speaker"),
        ({"merge": ["A=A"]}, "one speaker already"),
        ({"merge": ["B=A", "A=B"]}, "one speaker already"),
        ({"merge": ["B=A", "C=B", "A=C"]}, "one speaker already"),
        ({"merge": ["-=A"]}, "- is not a speaker"),
        ({"roles": ["A=king"]}, "king is no role"),
        ({"roles": ["A"]}, "not of the form A=interviewer"),
        ({"roles": ["SUBJECT=subject"]}, "SUBJECT is not a speaker"),
        ({"turns": ["5=A"]}, "not of the form START-END=A"),
        ({"turns": ["5-4=A"]}, "ends before it begins"),
        ({"turns": ["5-5=A"]}, "ends before it begins"),
        ({"turns": ["5-99=A"]}, "ends after the source does, at 0:30"),
        ({"turns": ["5-6=a"]}, "a is not a speaker"),
        ({"turns": ["1e1-20=A"]}, "not of the form"),
    ],
)
def test_what_cannot_be_meant(words: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        change_speakers({}, **words, duration_ms=30_000)
    assert caught.value.advice


def test_what_was_said_can_be_read_again(tmp_path: Path) -> None:
    whole = change_speakers({}, count=2, merge=["C=A"], roles=["B=subject"], turns=["1-2=B", "2-3=-"])
    write_speakers(tmp_path, "s", whole)
    assert read_speakers(tmp_path)["s"] == json.loads(json.dumps(whole))


# ── putting it into effect ───────────────────────────────────────────────────────────────────────────────────


def test_a_merge_makes_one_of_two() -> None:
    assert correct_turns(TURNS, {"merge": {"B": "A"}}) == [Turn(0, 5000, "A"), Turn(5500, 9000, "A"), Turn(9500, 10_000, "C")]
    assert correct_turns(TURNS, {}) == TURNS


def test_a_persons_turns_win_within_their_spans() -> None:
    assert correct_turns(TURNS, {"turns": [[4000, 6000, "C"], [8000, 9000, "-"]]}) == [
        Turn(0, 4000, "A"), Turn(4000, 6000, "C"), Turn(6000, 7000, "B"), Turn(7000, 8000, "A"), Turn(9500, 10_000, "C"),
    ]  # fmt: skip
    assert correct_turns([], {"turns": [[0, 10, "A"]]}) == [Turn(0, 10, "A")]


def test_a_merged_letter_in_a_persons_turn_is_who_it_became() -> None:
    what = {"merge": {"B": "A"}, "turns": [[5000, 5500, "B"]]}
    assert correct_turns(TURNS, what) == [Turn(0, 9000, "A"), Turn(9500, 10_000, "C")]


def test_a_circle_of_merges_ends() -> None:
    assert resolve_speaker({"A": "B", "B": "A"}, "A") in {"A", "B"}


spans = st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from("ABC")).map(lambda t: Turn(t[0], t[0] + t[1], t[2]))


@given(st.lists(spans, max_size=8), st.lists(spans, max_size=5))
def test_painting_keeps_every_moment_and_says_it_once(under: list[Turn], over: list[Turn]) -> None:
    rows = overlay_turns(overlay_turns([], under), over)
    for at in range(90):
        told = [t.speaker for t in rows if t.start_ms <= at < t.end_ms]
        meant = [t.speaker for t in [*under, *over] if t.start_ms <= at < t.end_ms]
        assert told == meant[-1:]
    assert rows == sorted(rows)
    whole = join_turns(rows)
    assert sum_speaking_ms(whole) == sum_speaking_ms(rows)
    assert all(a.speaker != b.speaker or a.end_ms < b.start_ms for a, b in pairwise(whole))


# ── showing it ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bar_a_speaker() -> None:
    turns = [Turn(0, 5000, "A"), Turn(5000, 7500, "B"), Turn(7500, 7600, "A")]
    text = render_turns(turns, {"A": "subject", "B": "interviewer"}, 10_000, width=20)
    ruler, first, second = text.splitlines()
    assert ruler == "    0:00            0:10"
    assert first == "A   ██████████·····▂····     0:05  67 %  subject"
    assert second == "B   ··········█████·····     0:03  33 %  interviewer"


def test_nobody_speaks() -> None:
    assert render_turns([], {}, 1000) == render_turns(TURNS, {}, 0) == "nobody speaks\n"


@given(st.lists(spans, min_size=1, max_size=8), st.integers(10, 80))
def test_bars_are_of_one_width_and_show_everybody(turns: list[Turn], width: int) -> None:
    rows = overlay_turns([], turns)
    lines = render_turns(rows, {}, 80, width).splitlines()[1:]
    assert [line.split()[0] for line in lines] == sorted({t.speaker for t in rows})
    for line in lines:
        bar = line[4 : 4 + width]
        assert set(bar) <= set("█▂·")
        assert set(bar) & set("█▂"), "who speaks is seen to"


@pytest.mark.parametrize(("ms", "text"), [(0, "0:00"), (499, "0:00"), (59_500, "1:00"), (3_723_000, "1:02:03")])
def test_clock(ms: int, text: str) -> None:
    assert format_time(ms) == text
