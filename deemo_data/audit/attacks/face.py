"""Face recognisers and detectors against the mask: identification, verification, and whether a face is visible at all.

The attacker has more than a stranger has: unmasked recordings of everybody in the project, and the place of the face in each
masked frame. A recogniser therefore always has something to look at, and its figure is an upper bound for its kind. Two stages
extract what is compared (their results are in the store, like those of any stage); the rest is arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from deemo_data.clip import Clip, Facts, Grid
from deemo_data.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.audit.attacks.scores import Score


MIN_PRESENCE = 0.5  # score of the mesh network from which a place counts as a face
Models = tuple[tuple[str, str], ...]  # (absolute path, SHA-256) of ONNX files in the format of InsightFace


@dataclass(frozen=True)
class Recogniser:
    """A face recogniser. `embed` takes a picture (h, w, 3, RGB) and the 468 mesh points, and returns a unit vector."""

    name: str
    weights: str
    embed: Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Detector:
    """A face detector. `detect` takes a picture (h, w, 3, RGB) and returns boxes (n, 5)."""

    name: str
    weights: str
    detect: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def load_attackers(models: Models, use_dlib: bool) -> tuple[list[Recogniser], list[Detector]]:
    """Load the recognisers and detectors. Raises ModelError for one that was asked for and is missing."""
    recognisers: list[Recogniser] = []
    detectors: list[Detector] = []
    if use_dlib:
        from deemo_data.models.faces import dlib, landmarks

        net = dlib.load()
        recognisers.append(
            Recogniser("dlib ResNet", dlib.RESNET_WEIGHTS, lambda rgb, mesh: dlib.embed(net, rgb, landmarks.to_dlib_points(mesh)))
        )
        detectors.append(Detector("dlib HOG", "in the package dlib", lambda rgb: dlib.detect(net, rgb)))
    for path, sha256 in models:
        model = _load_insightface(path, sha256)
        if isinstance(model, Recogniser):
            recognisers.append(model)
        else:
            detectors.append(model)
    return recognisers, detectors


def _load_insightface(path: str, sha256: str) -> Recogniser | Detector:
    from deemo_data.models.faces import insightface, landmarks

    net: Any = insightface.load(path, sha256)
    name, weights = f"InsightFace {Path(path).stem}", f"{Path(path).name}, sha256 {sha256[:12]}…"
    if net.taskname == "recognition":
        return Recogniser(
            name, weights, lambda rgb, mesh: insightface.embed(net, rgb[..., ::-1], landmarks.to_arcface_points(mesh))
        )
    if net.taskname == "detection":
        return Detector(name, weights, lambda rgb: insightface.detect(net, rgb[..., ::-1], 0.5))
    raise ModelError(f"{path} is a model for {net.taskname}: it neither finds nor recognises faces", "Name another file")


def find_missing_dlib() -> str:
    """An empty string when dlib and its weights can be used, otherwise the advice what to type."""
    from deemo_data.models.faces import dlib

    try:
        dlib.load()
    except ModelError as e:
        return e.advice
    return ""


# ── what is compared ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class TakeFaces:
    """Makes `taken`: the subject's face in some frames of the original: its mesh, and its vector for each recogniser.

    `frames` frames are spread evenly over the clip. A frame without a visible face is left out.
    """

    models: Models = ()
    use_dlib: bool = True
    frames: Annotated[int, Field(ge=2, le=64)] = 8

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "faces", "subject_tracks")
    makes: ClassVar[dict[str, str]] = {"taken": "taken.npz"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.media.frames import read_frames
        from deemo_data.models.faces import blazeface, facemesh, landmarks
        from deemo_data.tracks.faces import read_faces

        recognisers, detectors = load_attackers(self.models, self.use_dlib)
        mesher, nets = facemesh.load(), [blazeface.load(name) for name in (blazeface.SHORT_RANGE, blazeface.FULL_RANGE)]
        boxes = subject_boxes(read_faces(clip.path("faces")), clip.facts["subject_tracks"])
        found: dict[str, list[Any]] = {}
        for expected in (boxes, {}):  # a track without a real face (a print on a sweater) is not the subject
            found = {n: [] for n in ("frame", "mesh", *_column_names(recognisers, detectors))}
            for frame in read_frames(clip, every=max(1, clip.num_frames // self.frames)):
                rgb = frame.rgb()
                looks = [blazeface.detect_at_size(net, rgb, 0.5, size) for net, size in zip(nets, (640, 256), strict=True)]
                for box in candidate_boxes(np.concatenate(looks), expected.get(frame.index)):
                    mesh, presence = landmarks.locate_mesh(mesher, rgb, box)
                    if presence >= MIN_PRESENCE:
                        _add_views(found, rgb, mesh, recognisers, detectors)
                        found["frame"].append(frame.index)
                        found["mesh"].append(mesh)
                        break
            if found["frame"]:
                break
        np.savez(out / self.makes["taken"], **{n: np.array(v, np.float32) for n, v in found.items()})  # type: ignore[arg-type]
        return {}


@dataclass(frozen=True)
class TakeMasked:
    """Makes `retaken`: the vectors of each recogniser at the same places in the same frames of the released clip."""

    models: Models = ()
    use_dlib: bool = True

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("safe", "grid", "taken")
    makes: ClassVar[dict[str, str]] = {"retaken": "retaken.npz"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        recognisers, detectors = load_attackers(self.models, self.use_dlib)
        with np.load(clip.path("taken")) as taken:
            meshes = {int(f): mesh for f, mesh in zip(taken["frame"], taken["mesh"], strict=True)}
        found: dict[str, list[Any]] = {n: [] for n in _column_names(recognisers, detectors)}
        for index, rgb in _read_pictures(clip, set(meshes)):
            _add_views(found, rgb, meshes[index], recognisers, detectors)
        np.savez(out / self.makes["retaken"], **{n: np.array(v, np.float32) for n, v in found.items()})  # type: ignore[arg-type]
        return {}


def _column_names(recognisers: Sequence[Recogniser], detectors: Sequence[Detector]) -> list[str]:
    return [r.name for r in recognisers] + [d.name for d in detectors]


def _add_views(
    views: dict[str, list[Any]], rgb: NDArray[np.uint8], mesh: NDArray[np.float32],
    recognisers: Sequence[Recogniser], detectors: Sequence[Detector],
) -> None:  # fmt: skip
    """Add the vector of each recogniser for one face, and whether each detector sees a face there."""
    for recogniser in recognisers:
        views[recogniser.name].append(recogniser.embed(rgb, mesh))
    x, y = mesh.mean(axis=0)
    for detector in detectors:
        views[detector.name].append(any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in detector.detect(rgb)))


def safe_as_source(clip: Clip) -> Clip:
    """The released video of a clip as a source of its own: all that a receiver has. Needs the file "safe" and the fact "grid"."""
    grid = clip.grid
    released_grid = Grid(grid.fps, False, Fraction(0), clip.num_frames, grid.width, grid.height)
    facts = clip.facts | {"grid": released_grid.to_fact(), "has_sound": True}
    facts.pop("stamp", None)
    return Clip(clip.id, clip.source, 0, released_grid.ms_at(clip.num_frames), {"source": clip.files["safe"]}, facts)


def _read_pictures(clip: Clip, wanted: set[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    from deemo_data.media.frames import read_frames

    for frame in read_frames(safe_as_source(clip)):
        if frame.index in wanted:
            yield frame.index, frame.rgb()


def subject_boxes(faces: Any, tracks: list[int] | None) -> dict[int, NDArray[np.float32]]:
    """{frame: box} of the subject's face, the largest of the given tracks; empty when the subject's tracks are not known."""
    faces = faces[faces["track"].isin(tracks or [])]
    corners = faces[["x0", "y0", "x1", "y1"]].to_numpy()
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    order = area.argsort(kind="stable")
    return {int(f): corners[k] for f, k in zip(faces["frame"].to_numpy()[order], order, strict=True)}


def candidate_boxes(detections: NDArray[np.float32], expected: NDArray[np.float32] | None) -> list[NDArray[np.float32]]:
    """Places to look for the subject's face, the most likely first: boxes (n, 5) of an independent detector, the largest first.

    With an expected box: only boxes that overlap it, and then the expected box itself.
    """
    from deemo_data.tracks.linking import box_iou

    if expected is not None:
        near = [box for box in detections if box_iou(box, expected) > 0.2]
        return [*sorted(near, key=lambda box: -box_iou(box, expected)), expected]
    return sorted(detections, key=lambda box: -float((box[2] - box[0]) * (box[3] - box[1])))


# ── the attacks ──────────────────────────────────────────────────────────────────────────────────────────────


def similarity_table(
    gallery: Sequence[NDArray[np.float32]], probes: Sequence[NDArray[np.float32]], subjects: Sequence[str], same: bool
) -> tuple[NDArray[np.float64], list[str], list[int]]:
    """Cosine similarity of each probe to each subject: the table (probes, subjects), the subjects, and which clips were probes.

    gallery, probes  one array (k, d) per clip, in the same order as `subjects`. Frames are averaged.
    same             whether the only clip of a subject may be its own gallery: even frames as gallery, odd frames as probe

    A clip is never compared with itself if its subject has another clip.
    """
    import numpy as np

    people = sorted({s for s, g in zip(subjects, gallery, strict=True) if len(g)})
    rows, probe_clips = [], []
    for i, probe in enumerate(probes):
        others = {s: [g for j, g in enumerate(gallery) if subjects[j] == s and j != i and len(g)] for s in people}
        probe_faces = probe
        if same and not others.get(subjects[i]) and min(len(gallery[i]), len(probe)) > 1:
            others[subjects[i]], probe_faces = [gallery[i][0::2]], probe[1::2]
        if len(probe_faces) and others.get(subjects[i]):
            middles = np.stack([_unit(np.mean([_unit(g.mean(axis=0)) for g in others[s]], axis=0)) for s in people])
            rows.append(middles @ _unit(probe_faces.mean(axis=0)))
            probe_clips.append(i)
    return np.array(rows, np.float64).reshape(len(rows), len(people)), people, probe_clips


def _unit(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    import numpy as np

    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def score_recogniser(
    gallery: Sequence[NDArray[np.float32]], probes: Sequence[NDArray[np.float32]], subjects: Sequence[str],
    *, same: bool = True, seed: int = 0,
) -> dict[str, Score]:  # fmt: skip
    """{"rank-1", "EER"}: identification of the person of a probe, and verification of pairs.

    Empty if fewer than two people can be compared; see `table`.
    """
    from deemo_data.audit.attacks import scores

    similar, people, probe_clips = similarity_table(gallery, probes, subjects, same)
    probe_subjects = [subjects[i] for i in probe_clips]
    if len(people) < 2 or not probe_clips:
        return {}
    one, other = [w for w in probe_subjects for _ in people], people * len(probe_subjects)
    return {
        "rank-1": scores.rank1_score(similar, people, probe_subjects, "clips", seed),
        "EER": scores.eer_score(similar.ravel(), one, other, "subjects", seed),
    }


def score_detector(is_seen: Sequence[NDArray[np.float32]], subjects: Sequence[str], seed: int = 0) -> Score:
    """The share of frames in which a detector sees the face, per clip: `found` holds 0 or 1 for each frame."""
    from deemo_data.audit.attacks import scores

    shares = [(float(f.mean()), s) for f, s in zip(is_seen, subjects, strict=True) if len(f)]
    return scores.share_score([v for v, _ in shares], [s for _, s in shares], "clips", None, seed)
