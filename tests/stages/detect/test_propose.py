"""The stage: only of the subject, in frames of the clip, with hands that the second look has seen; and real footage."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.stages.deidentify.assign_roles import AssignRoles
from deemo_data.stages.detect.find_faces import FindFaces
from deemo_data.stages.detect.propose import Propose, add_hands
from deemo_data.stages.detect.track_body import TrackBody
from deemo_data.stages.detect.track_hands import TrackHands
from deemo_data.stages.gestures.signals import RULES
from deemo_data.tracks import body, faces, hands
from deemo_data.tracks.hands import DetectedHand
from tests.makers.gestures import SHOULDER_PX, Acting, touching

WIDTH, HEIGHT = 640, 480
SUBJECT = {"speakers": {}, "faces": {"0": "subject"}, "body": "subject"}


def film(folder: Path, acting: Acting, roles: dict[str, Any] = SUBJECT, looks: Any = ()) -> Clip:
    """What the stages before would have made of it."""
    scene, count = acting.scene(), acting.count
    points = np.concatenate([scene.points, scene.hands.reshape(count, 42, 3)], axis=1) / [WIDTH, HEIGHT, WIDTH]
    sure = np.where(np.isfinite(points[..., 0]), acting.sure, 0)
    body.write_body(body.Body(points[:, None].astype(np.float32), sure[:, None].astype(np.float32)), folder / "body.parquet")
    x, y, half = 320.0, 200 - 0.56 * SHOULDER_PX, 0.22 * SHOULDER_PX
    rows = [(f, 0, x - half, y - 1.3 * half, x + half, y + 1.3 * half, 0.9, "detected") for f in range(count)]
    faces.write_faces(pd.DataFrame(rows, columns=list(faces.FACE_COLUMNS)), folder / "faces.parquet")
    (folder / "roles.json").write_text(json.dumps(roles))
    hands.write_hands(looks, folder / "hand_looks.parquet")
    names = {"body": "body.parquet", "faces": "faces.parquet", "roles": "roles.json", "hand_looks": "hand_looks.parquet"}
    grid = Grid(Fraction(25), False, Fraction(0), count, WIDTH, HEIGHT)
    files = {n: File.of(folder / f) for n, f in names.items()}
    return Clip("c", "c", 0, grid.ms_at(count), files, {"grid": grid.to_fact()})


def rules(facts: dict[str, Any]) -> set[str]:
    return {p["rule"] for p in facts["proposals"]}


def test_what_it_makes_and_tells(tmp_path: Path) -> None:
    clip = film(tmp_path, touching(0.1, 0.42))
    facts = Propose()(clip.restrict_to(Propose.needs), tmp_path)
    assert json.loads((tmp_path / "proposals.json").read_text()) == facts["proposals"]
    assert rules(facts) == {"hand_on_forehead"}
    first = (tmp_path / "proposals.json").read_bytes()
    Propose()(clip, tmp_path)
    assert (tmp_path / "proposals.json").read_bytes() == first


def test_a_body_that_is_not_the_subjects_is_not_spoken_of(tmp_path: Path) -> None:
    clip = film(tmp_path, touching(0.1, 0.42), SUBJECT | {"body": "other"})
    assert Propose()(clip, tmp_path) == {"proposals": []}
    stranger = film(tmp_path, touching(0.1, 0.42), SUBJECT | {"faces": {"0": "bystander"}})
    assert Propose()(stranger, tmp_path) == {"proposals": []}


def test_thresholds_are_the_stages(tmp_path: Path) -> None:
    clip = film(tmp_path, touching(0.1, 0.42, seconds=0.6))
    assert rules(Propose()(clip, tmp_path)) == {"hand_on_forehead"}
    assert rules(Propose(least_ms=1000)(clip, tmp_path)) == set()
    assert rules(Propose(least_score=0.95)(clip, tmp_path)) == set()
    assert rules(Propose(small=0.5)(clip, tmp_path)) == set()


def test_a_hand_that_only_the_second_look_has_seen(tmp_path: Path) -> None:
    acting = touching(0.1, 0.42)
    seen = acting.scene().hands[:, 0]
    looks = [
        (
            frame,
            1,
            [
                DetectedHand(
                    (seen[frame] / [WIDTH, HEIGHT, 1]).astype(np.float32), (seen[frame] / 700).astype(np.float32), "left", 0.9
                )
            ],
        )
        for frame in range(acting.count)
        if np.isfinite(seen[frame]).all()
    ]
    acting.hands[:] = np.nan
    acting.sure[:, 17:23] = 0
    assert "hand_on_forehead" not in rules(Propose()(film(tmp_path, acting), tmp_path))
    assert "hand_on_forehead" in rules(Propose()(film(tmp_path, acting, looks=looks), tmp_path))


def test_hands_far_from_the_wrists_are_not_added() -> None:
    points = np.full((1, 75, 3), np.nan, np.float32)
    points[0, 15], points[0, 16] = (100, 100, 0), (300, 100, 0)
    near = hands.Hand(np.full((21, 2), (110, 100), np.float32), np.zeros(21, np.float32), 500)
    far = hands.Hand(np.full((21, 2), (300, 300), np.float32), np.zeros(21, np.float32), 500)
    add_hands(points, ({0: [near, far]}, {}))
    assert np.isfinite(points[0, 33:54]).all()
    assert np.isnan(points[0, 54:]).all()


@pytest.mark.parametrize("name", ["asl_eat.mkv", "asl_milk.mkv"])
def test_real_footage(media: Path, weights: Path, tmp_path: Path, name: str) -> None:
    from deemo_data.media import probe

    path = media / "video" / name
    facts = probe.probe_video(path)
    (tmp_path / "turns.json").write_text('{"turns": [], "by": "one"}')
    given = {"source": File.of(path), "turns": File.of(tmp_path / "turns.json")}
    clip = Clip("c", "c", 0, facts["duration_ms"], given, facts | {"speakers_said": {}})
    for stage in (TrackBody(), FindFaces(), TrackHands(), AssignRoles()):
        told = stage(clip, tmp_path)
        clip = clip.with_results({n: File.of(tmp_path / f) for n, f in stage.makes.items()}, told)
    found = Propose()(clip.restrict_to(Propose.needs), tmp_path)["proposals"]
    assert found
    assert Propose()(clip, tmp_path)["proposals"] == found
    for one in found:
        assert 0 <= one["start_frame"] < one["end_frame"] <= clip.num_frames
        assert 0 < one["score"] <= 1
        assert one["rule"] in RULES
        assert load_nfbl("nfbl").class_of_rule(one["rule"]) is not None
        assert one["why"].endswith(" s.")


HAND_LABELS = json.loads((Path(__file__).parents[2] / "hand_labels" / "labels.json").read_text())


@pytest.mark.parametrize("row", HAND_LABELS["clips"], ids=lambda row: f"{row['file']}-{row['start_ms']}")
def test_hand_labels_are_of_the_vocabulary_and_within_their_clips(row: dict[str, Any]) -> None:
    nfbl = load_nfbl("nfbl")
    assert HAND_LABELS["vocabulary"] == nfbl.versioned_name
    assert set(row) == {"file", "set", "start_ms", "end_ms", "fps", "frames", "events"}, "times and classes only"
    assert round(Fraction(row["fps"]) * (row["end_ms"] - row["start_ms"]) / 1000) == row["frames"]
    for event in row["events"]:
        assert nfbl.find(event["label"]) is not None
        assert 0 <= event["start_frame"] < event["end_frame"] <= row["frames"]
        assert event["certainty"] in ("sure", "unsure", "guess")
