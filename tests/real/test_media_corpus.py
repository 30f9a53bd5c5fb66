"""The real footage: every frame of it comes through, the right way up, and no face shows that another detector sees."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deemo_data.clip import Clip
from deemo_data.media import frames, probe
from deemo_data.models.faces import insightface
from deemo_data.project import problems
from deemo_data.project.clips import read_project_clips
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from deemo_data.tracks.body import read_body
from deemo_data.tracks.faces import boxes_by_frame, read_faces
from deemo_data.tracks.hands import read_hands
from deemo_data.workflow import export, ingest, run, segment
from tests.makers.coverage import SCRFD, covered, decoded, with_its_flesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

TALKER = "talker_hands_speech_wim.mp4"
UNREADABLE = {"edge_audio_only.mp4", "edge_corrupt_no_moov.mp4", "edge_subtitles_only.mkv"}
pytestmark = pytest.mark.timeout(600)  # the first to want the talker waits for all stages


def made_of(folder: Path, rows: list[tuple[Path, str, str]], workers: int = 2) -> Project:
    """A project of these spans (file, start_ms, end_ms), through all stages."""
    (folder / "s.csv").write_text("uri,start_ms,end_ms,consent\n" + "".join(f"{p},{a},{b},yes\n" for p, a, b in rows))
    project = Project.make(folder / "project", "hardened")
    _, refused = ingest.ingest_sources(project, str(folder / "s.csv"), None)
    clips, uncut = segment.segment_sources(project)
    done, missing = run.run_project(project, workers=workers)
    assert (refused, uncut, missing) == ([], [], [])
    assert len(done) == len(clips) == len(rows)
    return project


def detector(media_folder: Path) -> Any:
    """SCRFD, which is no part of the line: not the detector that masks, nor one of those that check."""
    path = media_folder / "models" / SCRFD
    if not path.is_file():
        pytest.skip(f"no independent detector: put {SCRFD} into ../shared/media/models")
    return insightface.load(path, hashlib.sha256(path.read_bytes()).hexdigest())


def uncovered(project: Project, clip: Clip, net: Any, every: int, threshold: float) -> tuple[int, list[tuple[int, float]]]:
    """Faces seen in every `every`-th frame of the footage, and (frame, share covered) of those that show more than 5 %."""
    shown = decoded(clip.path("safe"))
    looks = read_hands(clip.path("hand_looks"), clip.grid.width, clip.grid.height)
    seen, bad = 0, []
    for frame, masked in zip(frames.read_frames(clip), shown, strict=True):
        if frame.index % every == 0:
            original = frame.bgr()
            for box in insightface.detect(net, original, threshold):
                seen += 1
                hulls = [with_its_flesh(h.points) for look in looks for h in look.get(frame.index, ())]
                if (share := covered(original, masked, box, hulls)) < 0.95:
                    bad.append((frame.index, round(share, 3)))
    return seen, bad


@pytest.fixture(scope="module")
def talker(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Clip]:
    project = made_of(tmp_path_factory.mktemp("talker"), [(media / "video" / TALKER, "0", "17267")])
    (clip,) = read_project_clips(project)
    return project, clip


def test_as_many_frames_come_out_as_went_in(talker: tuple[Project, Clip]) -> None:
    _, clip = talker
    assert clip.num_frames == sum(1 for _ in decoded(clip.path("source"))) == 518
    assert sum(1 for _ in decoded(clip.path("safe"))) == 518
    assert probe.probe_video(clip.path("safe"))["grid"]["frames"] == 518
    assert probe.probe_video(clip.path("safe"))["has_sound"]


def test_the_pose_is_found_in_every_frame(talker: tuple[Project, Clip]) -> None:
    _, clip = talker
    body = read_body(clip.path("body"))
    assert body.points.shape == (518, 1, 75, 3)
    assert not np.isnan(body.points[:, 0, :33]).any()
    assert (body.confidence[:, 0, :33].max(axis=1) > 0.9).all()
    x, y = body.points[:, 0, 0, 0], body.points[:, 0, 0, 1]
    assert ((x > 0) & (x < 1) & (y > 0) & (y < 1)).all(), "the nose is in the picture"
    hands = np.isfinite(body.points[:, 0, 33:].reshape(518, 2, 21 * 3)).all(axis=2)
    assert hands.any(axis=1).mean() > 0.5, "he gestures all the time"


def test_every_face_of_the_talker_is_covered(talker: tuple[Project, Clip], media: Path) -> None:
    project, clip = talker
    seen, bad = uncovered(project, clip, detector(media), every=5, threshold=0.6)
    assert seen >= 104, "one face a frame at least"
    assert bad == []


def test_the_picture_around_the_face_is_the_same(talker: tuple[Project, Clip]) -> None:
    """Frame k is frame k, and what is masked is the face, not the room."""
    _, clip = talker
    boxes = boxes_by_frame(read_faces(clip.path("faces")))
    originals, shown = decoded(clip.path("source")), decoded(clip.path("safe"))
    for index, (original, masked) in enumerate(zip(originals, shown, strict=True)):
        if index % 37 == 0:
            outside = np.ones(original.shape[:2], bool)
            for x0, y0, x1, y1, *_ in boxes.get(index, ()):
                (x, y), (w, h) = ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) * 0.9, (y1 - y0) * 0.9)
                outside[max(0, int(y - h)) : int(y + h), max(0, int(x - w)) : int(x + w)] = False
            away = np.abs(original.astype(np.int16) - masked).max(axis=2)[outside]
            assert outside.mean() > 0.6
            assert np.median(away) <= 4, index
            assert np.mean(away > 40) < 0.01, index


ROTATED = {"iphone4s_rotated_gps_noface.mov": (320, 568), "selfie_rotated90_2people_cc.mp4": (640, 480)}


@pytest.mark.slow
def test_rotated_footage_comes_out_upright(media: Path, weights: Path, tmp_path: Path) -> None:
    project = made_of(tmp_path, [(media / "video" / n, "0", "1000") for n in ROTATED])
    for clip in read_project_clips(project):
        name = clip.path("source").name
        upright, shown = next(decoded(clip.path("source"))), next(decoded(clip.path("safe")))
        assert (shown.shape[1], shown.shape[0]) == ROTATED[name] == (clip.grid.width, clip.grid.height)
        assert upright.shape == shown.shape

        def apart(turned: NDArray[np.uint8], shown: NDArray[np.uint8] = shown) -> float:
            return float(np.median(np.abs(turned.astype(np.int16) - shown)))

        right = apart(upright)
        assert right <= 4
        assert right < apart(np.ascontiguousarray(upright[::-1, ::-1])), "not upside down"
        raw_tags = [k for k in tags(clip.path("source")) if "location" in k or "make" in k or "model" in k]
        assert raw_tags or "iphone" not in name, "the phone did say where it was"
        assert not [k for k in tags(clip.path("safe")) if k not in HARMLESS]


HARMLESS = {"major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}


def tags(path: Path) -> set[str]:
    import av

    with av.open(str(path)) as container:
        return {*container.metadata, *(k for s in container.streams for k in s.metadata)}


@pytest.fixture(scope="module")
def corpus(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[problems.Problem]]:
    """All 37 files, as `make build-dataset SOURCES=... CONSENT=...` takes them."""
    project = Project.make(tmp_path_factory.mktemp("corpus") / "project", "hardened")
    _, missing = ingest.ingest_sources(project, str(media / "video"), "test media")
    missing += segment.segment_sources(project)[1]
    missing += run.run_project(project, workers=2)[1]
    export.export_project(project)
    return project, missing


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nearly_every_file_gives_a_released_clip(corpus: tuple[Project, list[problems.Problem]], media: Path) -> None:
    project, missing = corpus
    files = {p.name for p in (media / "video").iterdir()}
    assert len(files) == 37
    taken = {s.path("source").name for s in project.read_sources()}
    refused = {Path(m.what).name for m in missing if m.step == "ingest"}
    assert refused == UNREADABLE
    assert taken == files - UNREADABLE
    assert all(m.reason and m.advice for m in missing)
    out = {p.stem for p in project.released_dir.glob("*.mp4")}
    names = {c.path("source").name for c in read_project_clips(project) if derive_public_id(project.secret, "c", c.id) in out}
    assert len(names) >= 28, sorted(files - names)
    kept = {c.id for c in read_project_clips(project) if derive_public_id(project.secret, "c", c.id) not in out}
    assert kept <= {m.what for m in missing}, "the rest is accounted for"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_dataset_of_all_files_is_sound(corpus: tuple[Project, list[problems.Problem]]) -> None:
    from deemo_data.dataset.validation.dataset import validate_dataset

    project, _ = corpus
    assert [str(f) for f in validate_dataset(project.dataset_dir) if f.level == "error"] == []
    manifest = json.loads((project.dataset_dir / "deemo.json").read_text())
    assert sum(s["clips"] for s in manifest["counts"]["splits"].values()) == len(list(project.released_dir.glob("*.mp4")))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_face_that_another_detector_is_sure_of_shows(corpus: tuple[Project, list[problems.Problem]], media: Path) -> None:
    """SCRFD alone takes a hand or a stone for a face now and then, so it has to be sure."""
    project, _ = corpus
    net = detector(media)
    seen, found = 0, {}
    for clip in read_project_clips(project):
        if clip.facts.get("leaks_passed"):
            faces, bad = uncovered(project, clip, net, every=10, threshold=0.7)
            seen += faces
            if bad:
                found[clip.path("source").name, clip.start_ms] = (faces, bad)
    assert seen > 300
    assert found == {}
