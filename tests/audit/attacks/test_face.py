"""Face recognisers against masks: real ones on real people, and the sums behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.audit.attacks import face
from deemo_data.clip import Clip, Grid
from deemo_data.errors import ModelError
from deemo_data.files import File
from deemo_data.media import encode, probe
from deemo_data.media.frames import read_frames
from deemo_data.models.faces import dlib, facemesh, landmarks
from deemo_data.tracks.faces import FACE_COLUMNS, write_faces

SIGNERS = {"again": "P1", "no": "P1", "book": "P3", "walk": "P3", "eat": "P4", "night": "P4"}
RNG = np.random.default_rng(7)
DLIB = face.find_missing_dlib()
needs_dlib = pytest.mark.skipif(bool(DLIB), reason=f"no dlib: {DLIB}")


def people(clips: dict[str, int], spread: float, frames: int = 4) -> tuple[list[np.ndarray], list[str]]:
    """Made-up embeddings: each person a direction, each frame near it."""
    whose = [who for who, n in clips.items() for _ in range(n)]
    middles = {who: RNG.normal(size=32) for who in clips}
    made = [middles[who] + spread * RNG.normal(size=(frames, 32)) for who in whose]
    return [(m / np.linalg.norm(m, axis=1, keepdims=True)).astype(np.float32) for m in made], whose


def test_who_is_plain_to_see_is_always_found() -> None:
    seen, whose = people({"a": 2, "b": 3, "c": 2}, spread=0.1)
    found = face.score_recogniser(seen, seen, whose)
    assert found["rank-1"].value == 1
    assert found["rank-1"].chance == pytest.approx(1 / 3)
    assert found["rank-1"].n == 7
    assert found["EER"].value == 0


def test_noise_is_nobody() -> None:
    seen, whose = people({str(k): 3 for k in range(12)}, spread=0.1)
    noise = [RNG.normal(size=(4, 32)).astype(np.float32) for _ in whose]
    found = face.score_recogniser(seen, noise, whose)
    assert found["rank-1"].low <= 1 / 12 <= found["rank-1"].high
    assert found["EER"].low <= 0.5 <= found["EER"].high
    parrot = face.score_recogniser(noise, noise, whose, same=False)
    assert parrot["rank-1"].value < 0.4


def test_a_clip_is_never_compared_with_itself() -> None:
    """Clips that have nothing in common but the clip: whoever looks at the same recording finds all, we must not."""
    noise = [RNG.normal(size=(4, 32)).astype(np.float32) for _ in range(40)]
    whose = [str(k // 4) for k in range(40)]
    assert face.score_recogniser(noise, noise, whose)["rank-1"].value < 0.4
    assert face.score_recogniser(noise, noise, whose, same=False)["rank-1"].value < 0.4


def test_an_only_clip_is_known_by_its_other_half() -> None:
    seen, whose = people({"a": 1, "b": 1}, spread=0.1)
    _, known, asked = face.similarity_table(seen, seen, whose, same=True)
    assert (known, asked) == (["a", "b"], [0, 1])
    halves = [np.stack([s[0], -s[0], s[0], -s[0]]) for s in seen]  # what is known is the opposite of what is shown
    similar, _, _ = face.similarity_table(halves, halves, whose, same=True)
    assert np.allclose(np.diag(similar), -1, atol=1e-5)
    assert face.score_recogniser(seen, seen, whose, same=False) == {}, "a parrot needs another clip"


def test_one_person_alone_cannot_be_taken_for_another() -> None:
    seen, whose = people({"a": 3}, spread=0.1)
    assert face.score_recogniser(seen, seen, whose) == {}
    assert face.score_recogniser([], [], []) == {}


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.booleans())
def test_clips_in_which_no_face_was_seen_are_left_out(frames: list[int], same: bool) -> None:
    seen = [np.eye(4, dtype=np.float32)[:n] for n in frames]
    whose = ["ab"[k % 2] for k in range(len(frames))]
    similar, known, asked = face.similarity_table(seen, seen, whose, same)
    assert similar.shape == (len(asked), len(known))
    assert np.isfinite(similar).all()
    assert all(frames[i] for i in asked)
    assert set(known) == {w for w, n in zip(whose, frames, strict=True) if n}


def test_redetection_counts_clips_not_frames() -> None:
    found = face.score_detector([np.ones(30), np.zeros(2), np.zeros(0)], ["a", "b", "c"])
    assert (found.value, found.n, found.chance) == (0.5, 2, None)


def test_whose_face_it_is_roles_say() -> None:
    rows = [(0, 0, 0, 0, 50, 50), (0, 1, 0, 0, 10, 10), (0, 2, 0, 0, 20, 20), (1, 1, 5, 5, 9, 9)]
    faces = pd.DataFrame(rows, columns=["frame", "track", "x0", "y0", "x1", "y1"])
    boxes = face.subject_boxes(faces, [1, 2])
    assert {f: b.tolist() for f, b in boxes.items()} == {0: [0, 0, 20, 20], 1: [5, 5, 9, 9]}
    assert face.subject_boxes(faces, None) == {}
    seen = np.array([[0, 0, 40, 40, 0.9], [60, 60, 80, 80, 0.8]], np.float32)
    expected = np.array([61, 61, 82, 82], np.float32)
    assert [b[0] for b in face.candidate_boxes(seen, expected)] == [60, 61]
    assert [b[0] for b in face.candidate_boxes(seen, None)] == [0, 60]
    assert len(face.candidate_boxes(seen[:0], None)) == 0


# ── real faces ───────────────────────────────────────────────────────────────────────────────────────────────


def clip_of(path: Path, subject: str) -> Clip:
    facts = probe.probe_video(path)
    end = min(facts.pop("duration_ms"), 1000)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    more = {"subject": subject, "subject_tracks": None}
    return Clip(f"{sha256[:12]}-0-{end}", sha256[:12], 0, end, {"source": File(str(path), sha256)}, facts | more)


def masked(clip: Clip, out: Path) -> File:
    """`safe` by nothing of the line: grey over every large face that CenterFace saw in the last fifth frame."""
    from deemo_data.models.faces import centerface

    net, kept = centerface.load(), []

    def pictures() -> Iterator[np.ndarray]:
        for frame in read_frames(clip):
            bgr = frame.bgr()
            if frame.index % 5 == 0:
                kept[:] = [b for b in centerface.detect(net, bgr, 0.5) if b[2] - b[0] > 30] or kept
            for x0, y0, x1, y1, *_ in kept:
                middle, axes = ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) * 1.5, (y1 - y0) * 1.5)
                cv2.ellipse(bgr, (middle, axes, 0), (96, 96, 96), -1)
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)

    encode.write_video(out, pictures(), clip.grid, 23, "ultrafast")
    return File.of(out)


@pytest.fixture(scope="module")
def signers(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], list[dict], list[str]]:
    """(originals, masked, whose): what dlib and MobileFaceNet keep of six clips of three signers."""
    if DLIB:
        pytest.skip(f"no dlib: {DLIB}")
    folder = tmp_path_factory.mktemp("signers")
    path = media / "models" / "mobilefacenet_vface.onnx"
    models = ((str(path), hashlib.sha256(path.read_bytes()).hexdigest()),)
    before, after = [], []
    for word, who in SIGNERS.items():
        out = folder / word
        out.mkdir()
        clip = clip_of(media / "video" / f"asl_{word}.mkv", who)
        write_faces(pd.DataFrame(columns=list(FACE_COLUMNS)), out / "faces.parquet")
        clip = clip.with_results({"faces": File.of(out / "faces.parquet")}, {})
        face.TakeFaces(models, True, frames=3)(clip.restrict_to(face.TakeFaces.needs), out)
        made = {"taken": File.of(out / "taken.npz"), "safe": masked(clip, out / "safe.mp4")}
        face.TakeMasked(models, True)(clip.with_results(made, {}).restrict_to(face.TakeMasked.needs), out)
        before.append(dict(np.load(out / "taken.npz")))
        after.append(dict(np.load(out / "retaken.npz")))
    return before, after, list(SIGNERS.values())


@pytest.mark.parametrize("name", ["dlib ResNet", "InsightFace mobilefacenet_vface"])
def test_recognisers_know_people_and_not_masks(signers: tuple[list[dict], list[dict], list[str]], name: str) -> None:
    before, after, whose = signers
    originals, hidden = ([clip[name] for clip in view] for view in (before, after))
    assert face.score_recogniser(originals, originals, whose)["rank-1"].value == 1
    assert face.score_recogniser(originals, originals, whose)["EER"].value == 0
    found = face.score_recogniser(originals, hidden, whose)
    assert found["rank-1"].low <= 1 / 3 <= found["rank-1"].high
    assert found["EER"].value > 0.2


def test_the_same_places_are_looked_at_in_both(signers: tuple[list[dict], list[dict], list[str]]) -> None:
    before, after, whose = signers
    for clip, hidden in zip(before, after, strict=True):
        assert len(clip["frame"]) >= 3, "the print on a sweater is not taken for the subject"
        assert all(len(hidden[name]) == len(clip["frame"]) for name in hidden)
    assert face.score_detector([clip["dlib HOG"] for clip in before], whose).value > 0.8
    assert face.score_detector([clip["dlib HOG"] for clip in after], whose).value < 0.1


@needs_dlib
def test_two_ways_to_the_same_points(media: Path, weights: Path) -> None:
    """dlib's own predictor and the face mesh align a face alike, so they mean the same person."""
    frame = next(read_frames(clip_of(media / "video" / "asl_book.mkv", "P3"))).rgb()
    net = dlib.load()
    box = dlib.detect(net, frame)[0]
    assert box[4] > 0.5
    mesh, presence = landmarks.locate_mesh(facemesh.load(), frame, box)
    assert presence > 0.9
    by_dlib, by_mesh = dlib.locate_points(net, frame, box), landmarks.to_dlib_points(mesh)
    apart = np.linalg.norm(by_dlib - by_mesh, axis=1) / np.linalg.norm(by_dlib[0] - by_dlib[2])
    assert apart.max() < 0.15
    same = dlib.embed(net, frame, by_dlib) @ dlib.embed(net, frame, by_mesh)
    assert same > 0.97
    left, right = landmarks.to_arcface_points(mesh)[:2]
    assert left[0] < right[0], "the eye on the left of the picture comes first"


@needs_dlib
def test_dlib_sees_nothing_in_a_wall_and_a_face_at_the_edge_is_no_accident(weights: Path) -> None:
    net = dlib.load()
    wall = np.full((240, 320, 3), 128, np.uint8)
    assert dlib.detect(net, wall).shape == (0, 5)
    corner = np.array([[310, -5], [300, 0], [270, 2], [280, 4], [290, 20]], np.float32)
    assert np.linalg.norm(dlib.embed(net, wall, corner)) == pytest.approx(1, abs=1e-4)


def test_models_of_another_kind_are_refused(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = media / "models" / "scrfd_500m_kps.onnx"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    recognisers, detectors = face.load_attackers(((str(path), sha256),), use_dlib=False)
    assert (recognisers, [d.name for d in detectors]) == ([], ["InsightFace scrfd_500m_kps"])
    with pytest.raises(ModelError, match="sha256"):
        face.load_attackers(((str(path), "0" * 64),), use_dlib=False)

    class Net:
        taskname = "genderage"

    from deemo_data.models.faces import insightface

    monkeypatch.setattr(insightface, "load", lambda path, sha256: Net())
    with pytest.raises(ModelError, match="neither finds nor recognises"):
        face.load_attackers((("x.onnx", ""),), use_dlib=False)


def test_without_dlib_it_is_said_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Any:
        raise ModelError("weights dlib-face-55533b are missing", "Type: deemo models pull --group audit")

    monkeypatch.setattr(dlib, "load", gone)
    assert face.find_missing_dlib() == "Type: deemo models pull --group audit"


def test_what_is_shown_is_footage_of_its_own() -> None:
    grid = Grid(Fraction(25), True, Fraction(3), 500, 64, 48).to_fact()
    clip = Clip(
        "s-4000-8000", "s", 4000, 8000, {"safe": File("x", "1"), "source": File("y", "2")}, {"grid": grid, "stamp": [1, 2]}
    )
    shown = face.safe_as_source(clip)
    assert (shown.num_frames, shown.first_frame, shown.grid.zero, shown.grid.vfr) == (100, 0, 0, False)
    assert shown.files == {"source": File("x", "1")}
    assert "stamp" not in shown.facts
