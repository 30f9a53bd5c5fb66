"""Who is who: by how much they speak, how large and lasting their face is, and what a person said."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import probe
from deemo_data.stages.deidentify.assign_roles import (
    AssignRoles,
    assign_body_role,
    assign_face_roles,
    assign_speaker_roles,
    measure_presences,
)
from deemo_data.stages.detect.find_faces import FindFaces
from deemo_data.stages.detect.track_body import TrackBody
from deemo_data.tracks.body import Body, find_frames_of_others, write_body
from deemo_data.tracks.faces import FACE_COLUMNS, POSE_TRACK, read_faces, write_faces
from deemo_data.tracks.turns import Turn

W, H, COUNT = 640, 480, 100


def box(track: int, x: float, y: float, size: float, frames: range = range(COUNT), origin: str = "detected") -> pd.DataFrame:
    rows = [(f, track, x - size / 2, y - size / 2, x + size / 2, y + size / 2, 0.9, origin) for f in frames]
    return pd.DataFrame(rows, columns=list(FACE_COLUMNS))


def faces(*tables: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(tables) if tables else pd.DataFrame(columns=list(FACE_COLUMNS))


def body_at(x: float, y: float, frames: range = range(COUNT)) -> Body:
    points = np.full((COUNT, 1, 75, 3), np.nan, np.float32)
    points[list(frames), :, :33] = (x / W, y / H, 0)
    return Body(points, np.where(np.isnan(points[..., 0]), 0, 1).astype(np.float32))


# ── voices ───────────────────────────────────────────────────────────────────────────────────────────────────


TURNS = [Turn(0, 3000, "A"), Turn(3000, 9000, "B"), Turn(9000, 11_000, "C")]


def test_who_speaks_most_is_the_subject() -> None:
    assert assign_speaker_roles(TURNS, {}) == {"A": "interviewer", "B": "subject", "C": "interviewer"}
    assert assign_speaker_roles([], {}) == {}


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ({"A": "subject"}, {"A": "subject", "B": "interviewer", "C": "interviewer"}),
        ({"B": "interviewer"}, {"A": "subject", "B": "interviewer", "C": "interviewer"}),
        ({"C": "bystander"}, {"A": "interviewer", "B": "subject", "C": "bystander"}),
        ({"Z": "subject"}, {"A": "interviewer", "B": "interviewer", "C": "interviewer"}),
        ({"A": "interviewer", "B": "bystander", "C": "interviewer"}, {"A": "interviewer", "B": "bystander", "C": "interviewer"}),
    ],
)
def test_a_person_has_the_last_word(roles: dict[str, str], expected: dict[str, str]) -> None:
    assert assign_speaker_roles(TURNS, {"roles": roles}) == expected


def test_a_role_given_to_a_merged_letter_is_the_others() -> None:
    assert assign_speaker_roles(TURNS, {"merge": {"C": "A"}, "roles": {"C": "subject"}})["A"] == "subject"


turns = st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), st.sampled_from("ABCD")), max_size=9)


@given(turns, st.dictionaries(st.sampled_from("ABCD"), st.sampled_from(["interviewer", "bystander"]), max_size=4))
def test_at_most_one_subject_and_a_role_for_all(said: list[tuple[int, int, str]], roles: dict[str, str]) -> None:
    found = assign_speaker_roles([Turn(s, s + n, who) for s, n, who in said], {"roles": roles})
    assert set(found) == {who for _, _, who in said}
    assert list(found.values()).count("subject") == bool(set(found) - set(roles))
    assert all(found[who] == role for who, role in roles.items() if who in found)


# ── faces ────────────────────────────────────────────────────────────────────────────────────────────────────


def roles_of(table: pd.DataFrame, asked: bool = True) -> dict[int, str]:
    return assign_face_roles(measure_presences(table, W, H), COUNT, asked, 0.5, 0.2)


def test_the_largest_most_central_most_lasting_face_is_the_subject() -> None:
    middle, beside, small = box(3, 320, 240, 100), box(1, 560, 200, 100), box(2, 320, 100, 30)
    assert roles_of(faces(beside, middle, small)) == {1: "interviewer", 2: "bystander", 3: "subject"}
    assert roles_of(faces(box(1, 320, 240, 100, range(5)), box(2, 500, 240, 90))) == {1: "bystander", 2: "subject"}
    assert roles_of(faces(box(1, 320, 240, 60), box(2, 450, 240, 120))) == {1: "interviewer", 2: "subject"}


def test_with_one_speaker_nobody_asks() -> None:
    assert roles_of(faces(box(1, 320, 240, 100), box(2, 560, 240, 95)), asked=False) == {1: "subject", 2: "bystander"}


def test_the_subject_lost_and_found_is_the_subject_still() -> None:
    again = faces(box(1, 300, 240, 100, range(60)), box(2, 330, 250, 90, range(60, 100)))
    assert roles_of(again) == {1: "subject", 2: "subject"}
    held = faces(again, box(2, 330, 250, 90, range(50, 60), origin="held"))
    assert roles_of(held) == {1: "subject", 2: "subject"}, "a box that is only held is not a second face"
    elsewhere = faces(box(1, 300, 240, 100, range(60)), box(2, 550, 250, 90, range(60, 100)))
    assert roles_of(elsewhere)[2] == "interviewer"
    both = faces(box(1, 300, 240, 100, range(60)), box(2, 330, 250, 90, range(50, 100)))
    assert roles_of(both)[2] == "interviewer", "two at once are two people"


def test_no_face_and_boxes_of_the_pose() -> None:
    assert roles_of(faces()) == {}
    assert roles_of(faces(box(POSE_TRACK, 320, 240, 100))) == {}


@given(
    st.lists(
        st.tuples(st.integers(20, 620), st.integers(20, 460), st.integers(10, 200), st.integers(1, 100)), min_size=1, max_size=6
    )
)
def test_every_track_has_a_role_and_one_is_the_subject(found: list[tuple[int, int, int, int]]) -> None:
    roles = roles_of(faces(*[box(i, x, y, size, range(n)) for i, (x, y, size, n) in enumerate(found)]))
    assert set(roles) == set(range(len(found)))
    assert list(roles.values()).count("subject") == 1, "all are there from frame 0 on"


# ── the body ─────────────────────────────────────────────────────────────────────────────────────────────────


def whose(body: Body, table: pd.DataFrame) -> str:
    return assign_body_role(body, table, roles_of(table), W, H)


def test_the_body_under_the_subjects_face_is_the_subjects() -> None:
    two = faces(box(0, 320, 240, 120), box(1, 100, 200, 90))
    assert whose(body_at(330, 250), two) == "subject"
    assert whose(body_at(100, 200), two) == "other"
    assert whose(body_at(320, 240, range(60)), two) == "subject"


def test_most_of_the_frames_that_have_both() -> None:
    half = faces(box(0, 320, 240, 120, range(80)))
    wandering = body_at(320, 240)
    wandering.points[30:] = body_at(600, 440).points[30:]
    assert whose(wandering, half) == "other"
    wandering.points[30:60] = body_at(320, 240).points[30:60]
    assert whose(wandering, half) == "subject"


def test_frames_in_which_the_pose_is_on_somebody_else() -> None:
    table = faces(box(0, 320, 240, 120), box(1, 100, 200, 90), box(POSE_TRACK, 100, 200, 90))
    jumping = body_at(320, 240)
    jumping.points[70:] = body_at(100, 200).points[70:]
    jumping.points[90:] = np.nan
    assert whose(jumping, table) == "subject"
    assert np.nonzero(find_frames_of_others(jumping, table, roles_of(table), W, H))[0].tolist() == list(range(70, 90))
    assert not find_frames_of_others(body_at(600, 450), table, roles_of(table), W, H).any()
    assert not find_frames_of_others(jumping, faces(), {}, W, H).any()


def test_without_any_face_the_body_is_taken_for_the_subjects() -> None:
    assert whose(body_at(320, 240), faces()) == "subject"
    assert whose(body_at(320, 240), faces(box(POSE_TRACK, 320, 240, 100))) == "subject"
    assert whose(body_at(0, 0, range(0)), faces(box(0, 320, 240, 100))) == "other"


# ── the stage, and real footage ──────────────────────────────────────────────────────────────────────────────


def run(clip: Clip, out: Path, turns: list[Turn], said: dict[str, Any] | None = None) -> dict[str, Any]:
    stage = AssignRoles()
    (out / "turns.json").write_text(json.dumps({"turns": [t._asdict() for t in turns], "by": "test"}))
    clip = clip.with_results({"turns": File.of(out / "turns.json")}, {"speakers_said": said or {}})
    assert stage(clip.restrict_to(stage.needs), out) == {}
    return json.loads((out / stage.makes["roles"]).read_text())


def test_a_clip_with_only_a_question_knows_whose_it_is(tmp_path: Path) -> None:
    write_faces(faces(box(0, 320, 240, 120), box(POSE_TRACK, 10, 10, 30, range(3))), tmp_path / "faces.parquet")
    write_body(body_at(320, 240), tmp_path / "body.parquet")
    files = {name: File.of(tmp_path / f"{name}.parquet") for name in ("faces", "body")}
    clip = Clip("c", "s", 0, 4000, files, {"grid": Grid(Fraction(25), False, Fraction(0), 1000, W, H).to_fact()})
    turns = [Turn(0, 4000, "A"), Turn(4000, 40_000, "B")]
    assert run(clip, tmp_path, turns) == {
        "speakers": {"A": "interviewer", "B": "subject"}, "faces": {"-1": "subject", "0": "subject"}, "body": "subject",
    }  # fmt: skip
    assert run(clip, tmp_path, turns, {"roles": {"A": "subject"}})["speakers"] == {"A": "subject", "B": "interviewer"}
    assert run(clip, tmp_path, [])["speakers"] == {}


def seen(film: Path, start: int, end: int, out: Path) -> Clip:
    """A stretch of real footage with its body and faces."""
    facts = probe.probe_video(film)
    clip = Clip("c", "s", start, min(end, facts["duration_ms"]), {"source": File.of(film)}, facts)
    for stage in (TrackBody(), FindFaces()):
        stage(clip, out)
        clip = clip.with_results({name: File.of(out / file) for name, file in stage.makes.items()}, {})
    return clip


TWO = [Turn(0, 1000, "A"), Turn(1000, 3000, "B")]


@pytest.mark.usefixtures("weights")
def test_a_reception_has_one_subject_in_front(media: Path, tmp_path: Path) -> None:
    """A woman in a white jacket in front, left of the middle; five and more behind her."""
    clip = seen(media / "video" / "event_6people_small_faces_cc.mp4", 0, 1000, tmp_path)
    told = run(clip, tmp_path, TWO)
    table = read_faces(clip.path("faces"))
    heights = (table["y1"] - table["y0"]).groupby(table["track"]).median()
    subjects = [int(t) for t, role in told["faces"].items() if role == "subject" and int(t) != POSE_TRACK]
    assert heights[subjects].max() >= 0.7 * heights.max()
    assert len(subjects) < len(told["faces"]) / 2
    assert list(told["faces"].values()).count("bystander") >= 3
    assert told["body"] == "other", "the pose is of the man behind her"
    assert set(told["faces"]) == {str(t) for t in table["track"].unique()}


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("name", "start"), [("talker_hands_speech_wim.mp4", 4000), ("signer_selfie_slp.mp4", 0)])
def test_who_is_alone_is_the_subject_and_so_is_the_body(media: Path, tmp_path: Path, name: str, start: int) -> None:
    clip = seen(media / "video" / name, start, start + 1000, tmp_path)
    told = run(clip, tmp_path, TWO)
    table = read_faces(clip.path("faces"))
    longest = str(table["track"].value_counts().idxmax())
    assert told["faces"][longest] == "subject"
    assert told["body"] == "subject"


@pytest.mark.usefixtures("weights")
def test_two_in_one_selfie_are_not_both_the_subject(media: Path, tmp_path: Path) -> None:
    clip = seen(media / "video" / "selfie_rotated90_2people_cc.mp4", 2000, 3500, tmp_path)
    told = run(clip, tmp_path, TWO)
    table = read_faces(clip.path("faces"))
    subjects = [int(t) for t, role in told["faces"].items() if role == "subject" and int(t) != POSE_TRACK]
    own = table[table["track"].isin(subjects) & (table["origin"] != "held")]
    assert len(own)
    assert own.groupby("frame").size().max() == 1, "never two subjects in one frame"
