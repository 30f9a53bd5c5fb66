"""Face recognisers against the mask: who it is, whether two are one person, and whether a face is there at all.

The attacker is given more than a stranger has: he holds other recordings of everybody in the project, unmasked, and he
knows where in each masked frame the face was. So a recogniser always has something to look at, and its figure is an
upper bound on its kind. Two stages fetch what is compared (they live in the store like any other), the rest is sums.
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


SEEN = 0.5  # the mesh network's presence from which on a place holds a face to compare
DLIB = "dlib"
Models = tuple[tuple[str, str], ...]  # of InsightFace's kind: whole path, sha256


@dataclass(frozen=True)
class Recogniser:
    """One network that says whose face it is; `embed` takes a picture (h, w, 3, red first) and the 468 mesh points."""

    name: str
    weights: str
    embed: Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Detector:
    """One network that says where faces are: (n, 5) boxes of a picture (h, w, 3, red first)."""

    name: str
    weights: str
    detect: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def attackers(models: Models, use_dlib: bool) -> tuple[list[Recogniser], list[Detector]]:
    """The recognisers and detectors that will be used. Raises ModelError for one that was asked for and is not there."""
    recognisers: list[Recogniser] = []
    detectors: list[Detector] = []
    if use_dlib:
        from deemo_data.models.faces import dlib, landmarks

        net = dlib.load()
        recognisers.append(Recogniser("dlib ResNet", dlib.RESNET, lambda rgb, mesh: dlib.embed(net, rgb, landmarks.dlib(mesh))))
        detectors.append(Detector("dlib HOG", "in the package dlib", lambda rgb: dlib.detect(net, rgb)))
    for path, sha256 in models:
        made = _insightface(path, sha256)
        if isinstance(made, Recogniser):
            recognisers.append(made)
        else:
            detectors.append(made)
    return recognisers, detectors


def _insightface(path: str, sha256: str) -> Recogniser | Detector:
    from deemo_data.models.faces import insightface, landmarks

    net: Any = insightface.load(path, sha256)
    name, weights = f"InsightFace {Path(path).stem}", f"{Path(path).name}, sha256 {sha256[:12]}…"
    if net.taskname == "recognition":
        return Recogniser(name, weights, lambda rgb, mesh: insightface.embed(net, rgb[..., ::-1], landmarks.arcface(mesh)))
    if net.taskname == "detection":
        return Detector(name, weights, lambda rgb: insightface.detect(net, rgb[..., ::-1], 0.5))
    raise ModelError(f"{path} is a model for {net.taskname}: it neither finds nor recognises faces", "Name another file")


def dlib_is_here() -> str:
    """An empty string when dlib and its weights can be used, else what to type."""
    from deemo_data.models.faces import dlib

    try:
        dlib.load()
    except ModelError as e:
        return e.advice
    return ""


# ── what is compared ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class TakeFaces:
    """Makes `taken`: the subject's face in some frames of the original, where it lies, and as each recogniser has it.

    `frames` of them are spread evenly over the clip; one with no face to see is left out.
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

        recognisers, detectors = attackers(self.models, self.use_dlib)
        mesher, nets = facemesh.load(), [blazeface.load(name) for name in (blazeface.SHORT, blazeface.FULL)]
        boxes = subject_boxes(read_faces(clip.path("faces")), clip.facts["subject_tracks"])
        found: dict[str, list[Any]] = {}
        for expected in (boxes, {}):  # a track that holds no face (a print on a sweater) is not the subject's
            found = {n: [] for n in ("frame", "mesh", *_columns(recognisers, detectors))}
            for frame in read_frames(clip, every=max(1, clip.num_frames // self.frames)):
                rgb = frame.rgb()
                looks = [blazeface.detect_one_range(net, rgb, 0.5, size) for net, size in zip(nets, (640, 256), strict=True)]
                for box in candidates(np.concatenate(looks), expected.get(frame.index)):
                    mesh, presence = landmarks.mesh(mesher, rgb, box)
                    if presence >= SEEN:
                        _note(found, rgb, mesh, recognisers, detectors)
                        found["frame"].append(frame.index)
                        found["mesh"].append(mesh)
                        break
            if found["frame"]:
                break
        np.savez(out / self.makes["taken"], **{n: np.array(v, np.float32) for n, v in found.items()})  # type: ignore[arg-type]
        return {}


@dataclass(frozen=True)
class TakeMasked:
    """Makes `retaken`: the same places in the same frames of what would be shown, as each recogniser has them."""

    models: Models = ()
    use_dlib: bool = True

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("safe", "grid", "taken")
    makes: ClassVar[dict[str, str]] = {"retaken": "retaken.npz"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        recognisers, detectors = attackers(self.models, self.use_dlib)
        with np.load(clip.path("taken")) as taken:
            meshes = {int(f): mesh for f, mesh in zip(taken["frame"], taken["mesh"], strict=True)}
        found: dict[str, list[Any]] = {n: [] for n in _columns(recognisers, detectors)}
        for index, rgb in _pictures(clip, set(meshes)):
            _note(found, rgb, meshes[index], recognisers, detectors)
        np.savez(out / self.makes["retaken"], **{n: np.array(v, np.float32) for n, v in found.items()})  # type: ignore[arg-type]
        return {}


def _columns(recognisers: Sequence[Recogniser], detectors: Sequence[Detector]) -> list[str]:
    return [r.name for r in recognisers] + [d.name for d in detectors]


def _note(
    found: dict[str, list[Any]], rgb: NDArray[np.uint8], mesh: NDArray[np.float32],
    recognisers: Sequence[Recogniser], detectors: Sequence[Detector],
) -> None:  # fmt: skip
    """What each recogniser makes of one face, and whether each detector sees one there."""
    for recogniser in recognisers:
        found[recogniser.name].append(recogniser.embed(rgb, mesh))
    x, y = mesh.mean(axis=0)
    for detector in detectors:
        found[detector.name].append(any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in detector.detect(rgb)))


def as_source(clip: Clip) -> Clip:
    """`safe` as footage of its own: what somebody has who holds only that file. Needs the files "safe", the fact "grid"."""
    grid = clip.grid
    shown = Grid(grid.fps, False, Fraction(0), clip.num_frames, grid.width, grid.height)
    facts = clip.facts | {"grid": shown.to_fact(), "has_sound": True}
    facts.pop("stamp", None)
    return Clip(clip.id, clip.source, 0, shown.ms_at(clip.num_frames), {"source": clip.files["safe"]}, facts)


def _pictures(clip: Clip, wanted: set[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    from deemo_data.media.frames import read_frames

    for frame in read_frames(as_source(clip)):
        if frame.index in wanted:
            yield frame.index, frame.rgb()


def subject_boxes(faces: Any, tracks: list[int] | None) -> dict[int, NDArray[np.float32]]:
    """{frame: box} of the subject's face, the largest of the given tracks; empty when nobody said which are the subject's."""
    faces = faces[faces["track"].isin(tracks or [])]
    corners = faces[["x0", "y0", "x1", "y1"]].to_numpy()
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    order = area.argsort(kind="stable")
    return {int(f): corners[k] for f, k in zip(faces["frame"].to_numpy()[order], order, strict=True)}


def candidates(seen: NDArray[np.float32], expected: NDArray[np.float32] | None) -> list[NDArray[np.float32]]:
    """Places to look for the subject's face, likeliest first: what an independent detector saw (n, 5), largest first.

    With an expected box only what lies there, and then the box itself.
    """
    from deemo_data.tracks.linking import overlap

    if expected is not None:
        near = [box for box in seen if overlap(box, expected) > 0.2]
        return [*sorted(near, key=lambda box: -overlap(box, expected)), expected]
    return sorted(seen, key=lambda box: -float((box[2] - box[0]) * (box[3] - box[1])))


# ── the attacks ──────────────────────────────────────────────────────────────────────────────────────────────


def table(
    gallery: Sequence[NDArray[np.float32]], probes: Sequence[NDArray[np.float32]], subjects: Sequence[str], same: bool
) -> tuple[NDArray[np.float64], list[str], list[int]]:
    """Cosine of each probe with each subject: (probes, subjects), the subjects, and which clips were probes.

    gallery, probes  one (k, d) a clip, in one order; `subjects` says whose each is. Frames are averaged.
    same             whether a subject's only clip may be its own gallery, by halves: even frames known, odd ones shown

    A clip is never compared with itself where its subject has another one.
    """
    import numpy as np

    known = sorted({s for s, g in zip(subjects, gallery, strict=True) if len(g)})
    rows, asked = [], []
    for i, probe in enumerate(probes):
        others = {s: [g for j, g in enumerate(gallery) if subjects[j] == s and j != i and len(g)] for s in known}
        shown = probe
        if same and not others.get(subjects[i]) and min(len(gallery[i]), len(probe)) > 1:
            others[subjects[i]], shown = [gallery[i][0::2]], probe[1::2]
        if len(shown) and others.get(subjects[i]):
            middles = np.stack([_unit(np.mean([_unit(g.mean(axis=0)) for g in others[s]], axis=0)) for s in known])
            rows.append(middles @ _unit(shown.mean(axis=0)))
            asked.append(i)
    return np.array(rows, np.float64).reshape(len(rows), len(known)), known, asked


def _unit(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    import numpy as np

    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def attack(
    gallery: Sequence[NDArray[np.float32]], probes: Sequence[NDArray[np.float32]], subjects: Sequence[str],
    *, same: bool = True, seed: int = 0,
) -> dict[str, Score]:  # fmt: skip
    """{"rank-1", "EER"}: naming the person of a probe, and telling pairs of one person from pairs of two.

    Empty where fewer than two people can be compared; see `table`.
    """
    from deemo_data.audit.attacks import scores

    similar, known, asked = table(gallery, probes, subjects, same)
    whose = [subjects[i] for i in asked]
    if len(known) < 2 or not asked:
        return {}
    one, other = [w for w in whose for _ in known], known * len(whose)
    return {
        "rank-1": scores.rank1_score(similar, known, whose, "clips", seed),
        "EER": scores.eer_score(similar.ravel(), one, other, "subjects", seed),
    }


def redetected(found: Sequence[NDArray[np.float32]], subjects: Sequence[str], seed: int = 0) -> Score:
    """The share of faces that a detector sees, by clip: `found` holds a 0 or 1 for each frame looked at."""
    from deemo_data.audit.attacks import scores

    shares = [(float(f.mean()), s) for f, s in zip(found, subjects, strict=True) if len(f)]
    return scores.share_score([v for v, _ in shares], [s for _, s in shares], "clips", None, seed)
