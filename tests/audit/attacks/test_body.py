"""Attacks on body tracks: build, posture, movement and place each tell who it is, and each falls silent when it is gone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deemo_data.audit.attacks.body import Row, Track, attack_bodies, feature_vectors, identify_subjects, score_discriminant
from deemo_data.audit.attacks.scores import is_within_chance
from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import probe
from deemo_data.stages.detect.track_body import TrackBody
from deemo_data.tracks import body, faces, linking

FRAMES = 60
STAND = {11: (0.12, 0), 12: (-0.12, 0), 13: (0.16, 0.2), 14: (-0.16, 0.2), 15: (0.14, 0.38), 16: (-0.14, 0.38),
         23: (0.08, 0.42), 24: (-0.08, 0.42)}  # fmt: skip


def figure(who: int, clip: int, **differs: float) -> Track:
    """A made-up person: `differs` says how much subjects differ in arm, lean, beat, place or face; clips differ by noise."""
    draw = np.random.default_rng(1000 * who + clip)
    own = {name: size * draw_of(who, name) for name, size in differs.items()}
    points = np.full((FRAMES, 1, 75, 3), np.nan, np.float32)
    confidence = np.zeros((FRAMES, 1, 75), np.float32)
    seconds = np.arange(FRAMES) / 30
    beat = 2 * np.pi * (1.5 + own.get("beat", 0)) * seconds + draw.uniform(0, 6)
    for index, (x, y) in STAND.items():
        arm = 1 + own.get("arm", 0) if index in (13, 14, 15, 16) else 1
        sway = 0.03 * np.sin(beat) if index in (15, 16) else 0
        points[:, 0, index, 0] = 0.5 + x * arm + own.get("place", 0) + own.get("lean", 0) * y + sway
        points[:, 0, index, 1] = 0.3 + y * arm
        points[:, 0, index, 2] = 0
    for index in range(11):
        points[:, 0, index] = (0.5 + 0.03 * (index - 5) * (1 + own.get("face", 0) * np.sin(index)) + own.get("place", 0), 0.15, 0)
    points[:, 0, :33] += draw.normal(0, 0.002, (FRAMES, 33, 3)) + draw.normal(0, 0.002, (1, 33, 3))
    confidence[:, 0, [*range(11), *STAND]] = 0.99
    return Track(f"p{who}", f"p{who}-{clip}", body.Body(points, confidence), 30.0)


def draw_of(who: int, name: str) -> float:
    """Between -1 and 1, evenly spread over six people, in another order for each name."""
    order = np.random.default_rng(sum(name.encode())).permutation(6)
    return float(order[who] / 2.5 - 1)


def group(**differs: float) -> list[Track]:
    return [figure(who, clip, **differs) for who in range(6) for clip in range(3)]


def public(clips: list[Track]) -> list[Track]:
    return [replace(t, body=t.body.without_face()) for t in clips]


def found(rows: list[Row]) -> dict[str, float]:
    return {row.attacker: row.score.value for row in rows if row.score}


@pytest.mark.parametrize(
    ("differs", "by"), [("arm", "limbs"), ("lean", "posture"), ("beat", "motion"), ("place", "place"), ("face", "face")]
)
def test_what_differs_is_what_gives_away(differs: str, by: str) -> None:
    told = found(identify_subjects("tracked", group(**{differs: 0.25 if differs == "arm" else 0.8})))
    assert told[f"nearest clip, {by}"] >= 0.8, told
    alike = identify_subjects("tracked", group())
    assert found(alike)[f"nearest clip, {by}"] <= 0.4
    if by in ("limbs", "posture"):
        assert told[f"discriminant, {by}"] >= 0.8, told


def test_people_who_are_alike_are_guessed_at() -> None:
    rows = attack_bodies(group(), public(group()))
    values = [row.score.value for row in rows if row.score and row.scenario != "highest"]
    assert np.mean(values) == pytest.approx(1 / 6, abs=0.12)
    assert sum(is_within_chance(row.score) for row in rows if row.score and row.scenario != "highest") >= len(values) - 2
    assert all(row.score.chance == 1 / 6 for row in rows if row.score)


def test_the_face_is_not_in_the_public_track() -> None:
    clips = group(face=0.8)
    rows = attack_bodies(clips, public(clips))
    assert "nearest clip, face" in {row.attacker for row in rows if row.scenario == "tracked"}
    assert "nearest clip, face" not in {row.attacker for row in rows if row.scenario == "public"}
    assert rows[-1].scenario == "highest"
    tried = [row.score.value for row in rows if row.score and row.scenario == "public"]
    assert rows[-1].score is not None
    assert rows[-1].score.value == max(tried)
    assert attack_bodies(clips, public(clips)) == rows


def test_figures_are_those_of_the_pixels() -> None:
    """A picture twice as wide as high shows the same body with half the shares across."""
    square = figure(1, 1, arm=0.25)
    points = square.body.points * np.array([0.5, 1, 0.5], np.float32)
    wide = replace(square, body=body.Body(points, square.body.confidence), aspect=2.0)
    for name, values in feature_vectors(square).items():
        assert np.allclose(values, feature_vectors(wide)[name], atol=1e-4, equal_nan=True), name


def test_build_posture_and_motion_do_not_depend_on_place_or_size() -> None:
    here = figure(1, 1, arm=0.25)
    there = replace(here, body=body.Body(here.body.points * np.float32(0.4) + np.float32(0.1), here.body.confidence))
    one, other = feature_vectors(here), feature_vectors(there)
    for name in ("limbs", "posture", "motion", "hands"):
        assert np.allclose(one[name], other[name], atol=1e-3, equal_nan=True), name
    assert not np.allclose(one["place"], other["place"], atol=1e-2)


def test_points_that_are_guesses_tell_nothing() -> None:
    sure = figure(1, 1)
    confidence = sure.body.confidence.copy()
    confidence[:, 0, 13] = 0.2
    guessed = sure.body.points.copy()
    guessed[:, 0, 13] = 7
    one, other = (replace(sure, body=body.Body(p, confidence)) for p in (sure.body.points, guessed))
    for name, values in feature_vectors(one).items():
        assert np.array_equal(values, feature_vectors(other)[name], equal_nan=True), name


@pytest.mark.parametrize(("people", "clips"), [(0, 0), (1, 1), (1, 3), (3, 1)])
def test_too_few_are_told_and_do_not_fail(people: int, clips: int) -> None:
    some = [figure(who, clip) for who in range(people) for clip in range(clips)]
    rows = attack_bodies(some, public(some))
    assert [row.score for row in rows] == [None, None, None]
    assert all(row.note for row in rows)
    json.dumps([row.to_row() for row in rows], allow_nan=False)


def test_a_clip_without_a_body_and_a_subject_with_one_clip_are_not_asked_about() -> None:
    nothing = figure(0, 7)
    empty = body.Body(np.full_like(nothing.body.points, np.nan), np.zeros_like(nothing.body.confidence))
    some = [*group(arm=0.25), replace(nothing, body=empty), replace(figure(5, 8), subject="p9")]
    rows = identify_subjects("public", public(some))
    assert {row.score.n for row in rows if row.score} == {18}
    assert {row.score.chance for row in rows if row.score} == {1 / 7}
    assert feature_vectors(replace(nothing, body=empty)) == {}


def test_a_discriminant_ignores_what_varies_within_people() -> None:
    draw = np.random.default_rng(1)
    people = np.repeat([f"p{i}" for i in range(5)], 4)
    vectors = draw.normal(size=(20, 25)) * np.r_[0.1, np.full(24, 3.0)]
    vectors[:, 0] += np.repeat(np.arange(5.0), 4)
    known = sorted(set(people))
    told = [score_discriminant(np.delete(vectors, i, 0), np.delete(people, i), known, vectors[i]) for i in range(20)]
    assert np.mean([known[int(np.argmax(t))] == who for t, who in zip(told, people, strict=True)]) >= 0.8


# ── real signers ─────────────────────────────────────────────────────────────────────────────────────────────


def signer(path: Path, who: str, out: Path) -> tuple[Track, Clip]:
    facts = probe.probe_video(path)
    grid = Grid.of(facts["grid"])
    clip = Clip(path.stem, path.stem, 0, grid.ms_at(grid.frames), {"source": File.of(path)}, {"grid": facts["grid"]})
    out.mkdir()
    TrackBody()(clip, out)
    made = clip.with_results({"body": File.of(out / "body.parquet")}, {})
    return Track.read(who, out / "body.parquet", float(grid.fps), grid.width / grid.height, path.stem), made


@pytest.mark.usefixtures("weights")
def test_a_real_signer_is_built_like_a_human(media: Path, tmp_path: Path) -> None:
    track, _ = signer(media / "video" / "asl_want.mkv", "P5", tmp_path / "a")
    seen = feature_vectors(track)
    assert set(seen) == {"limbs", "hands", "posture", "motion", "place", "face"}
    assert all(0.4 < length < 1.6 for length in seen["limbs"][:2])  # upper arms, in shoulder widths
    assert 0.3 < seen["place"][0] / track.aspect < 0.7
    assert 0.05 < seen["place"][2] < 0.6
    assert np.isfinite(seen["posture"]).all()
    assert np.isfinite(seen["motion"]).all()
    assert set(feature_vectors(replace(track, body=track.body.without_face()))) == set(seen) - {"face"}


@pytest.fixture(scope="session")
def signers(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Track, Clip]]:
    """All 13 clips of the five signers, tracked once."""
    whose = re.findall(r"`video/(asl_\w+\.mkv)`.*?Signer (P\d)", (media / "PROVENANCE.md").read_text())
    folder = tmp_path_factory.mktemp("signers")
    made = [signer(media / "video" / name, who, folder / name) for name, who in whose]
    assert len(made) == 13
    assert len({track.subject for track, _ in made}) == 5
    return made


def published(signers: list[tuple[Track, Clip]], normalise: str, out: Path) -> list[Track]:
    from deemo_data.stages.deidentify.publish_body import PublishBody

    made = []
    roles = out / "roles.json"
    roles.write_text(json.dumps({"speakers": {}, "faces": {}, "body": "subject"}))
    faces.write_faces(linking.rows_to_table([]), out / "faces.parquet")
    for track, clip in signers:
        (out / track.clip).mkdir()
        known = clip.with_results({"roles": File.of(roles), "faces": File.of(out / "faces.parquet")}, {}).restrict_to(
            PublishBody.needs
        )
        PublishBody(normalise=normalise)(known, out / track.clip)  # type: ignore[arg-type]
        aspect = track.aspect if normalise == "none" else 1.0
        made.append(Track.read(track.subject, out / track.clip / "body.parquet", track.fps, aspect, track.clip))
    return made


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_signers_are_told_apart_by_their_tracks_and_normalising_helps(signers: list[tuple[Track, Clip]], tmp_path: Path) -> None:
    figures_of: dict[str, NDArray] = {}
    for normalise in ("none", "place", "limbs"):
        (tmp_path / normalise).mkdir()
        rows = attack_bodies([track for track, _ in signers], published(signers, normalise, tmp_path / normalise))
        figures_of[normalise] = np.array([row.score.value for row in rows if row.score and row.scenario == "public"])
        highest = rows[-1].score
        assert highest is not None
        assert highest.n == 13
        if normalise == "none":
            assert highest.low > highest.chance == 1 / 5
    assert figures_of["place"].mean() < figures_of["none"].mean()
    assert figures_of["limbs"].mean() < figures_of["place"].mean()
