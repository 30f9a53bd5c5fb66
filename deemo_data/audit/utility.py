"""What is still of use after masking: hand and body points found in the clip that would be released, beside the original's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.audit.material import Line, Material

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.audit.attacks.scores import Score
    from deemo_data.clip import Clip
    from deemo_data.tracks.body import Body


NEAR = 0.08  # of the picture's width and height: how far a hand found again may lie from where it was
ON_FACE = 4  # of 21 points inside a face box: the hand lies over the face
SHOULDERS = (11, 12)


@dataclass(frozen=True)
class Kept:
    """One clip: for each hand of the original whether it was found again and whether it lay over a face, and pose errors."""

    hands: NDArray[np.bool_]
    on_face: NDArray[np.bool_]
    errors: NDArray[np.float64]  # a frame, in shoulder widths; NaN where no pose was found again


def use(material: Material) -> list[Line]:
    """Hands still found (all, and those over a face) and how far the pose moved, for each profile."""
    from deemo_data.audit.attacks.face import as_source
    from deemo_data.tracks.body import read_body

    lines: dict[str, Line] = {}
    for profile, side in material.sides.items():
        again = material.make(material.stage("TrackBody"), [as_source(c) for c in side])
        pairs = [
            (own, compare(read_body(own.path("body")), read_body(again[own.id].path("body")), own))
            for own in material.clips if own.id in again
        ]  # fmt: skip
        whose = [c.facts["subject"] for c, _ in pairs]
        for name, measure, score in figures([k for _, k in pairs], whose):
            lines.setdefault(name, Line(name, "MediaPipe", measure, {}, "")).cells[profile] = score
    return list(lines.values())


def compare(before: Body, after: Body, clip: Clip) -> Kept:
    """What the tracker finds in the masked clip of what it found in the original."""
    import numpy as np

    from deemo_data.tracks import faces
    from deemo_data.tracks.body import BODY_POINTS, FACE_POINTS

    grid, count = clip.grid, min(len(before.points), len(after.points))
    boxes = faces.boxes_by_frame(faces.read_faces(clip.path("faces")))
    size = np.array([grid.width, grid.height], np.float32)
    kept, over = [], []
    for frame in range(count):
        left = hands_of(after, frame)
        for hand in hands_of(before, frame):
            kept.append(any((np.abs(hand.mean(axis=0) - other.mean(axis=0)) < NEAR).all() for other in left))
            pixels = hand * size
            over.append(any(
                int(((pixels >= box[:2]) & (pixels <= box[2:4])).all(axis=1).sum()) >= ON_FACE for box in boxes.get(frame, ())
            ))  # fmt: skip
    points = [b.points[:count, 0, FACE_POINTS:BODY_POINTS, :2] * size for b in (before, after)]
    across = np.linalg.norm(np.diff(before.points[:count, 0, SHOULDERS, :2] * size, axis=1)[:, 0], axis=-1)
    seen = ~np.isnan(points[0]).any(axis=(1, 2)) & (across > 1)
    errors = np.linalg.norm(points[0] - points[1], axis=-1).mean(axis=1)[seen] / across[seen]
    return Kept(np.array(kept, bool), np.array(over, bool), errors.astype(np.float64))


def hands_of(body: Body, frame: int) -> list[NDArray[np.float32]]:
    """The hands seen in a frame, (21, 2) each in shares of the picture."""
    import numpy as np

    from deemo_data.tracks.body import BODY_POINTS, HAND_POINTS

    hands = body.points[frame, :, BODY_POINTS:, :2].reshape(-1, HAND_POINTS, 2)
    return [h for h in hands if not np.isnan(h).any()]


def figures(kept: Sequence[Kept], whose: Sequence[str]) -> list[tuple[str, str, Any]]:
    """(name, measure, figure) over all clips."""
    import numpy as np

    from deemo_data.audit.attacks import scores

    def pooled(values: list[NDArray[np.bool_]], unit: str) -> scores.Score | None:
        return share([(float(v), w) for w, own in zip(whose, values, strict=True) for v in own], unit)

    pairs = [(float(np.nanmedian(k.errors)), w) for k, w in zip(kept, whose, strict=True) if np.isfinite(k.errors).any()]
    values, people = [v for v, _ in pairs], [w for _, w in pairs]
    mean = float(np.mean(values)) if values else float("nan")
    moved = scores.Score(mean, *scores.mean_interval(values, people), None, len(values), "clips")
    return [
        ("hands still found", "share", pooled([k.hands for k in kept], "hands")),
        ("hands over a face still found", "share", pooled([k.hands[k.on_face] for k in kept], "hands")),
        ("body still found", "share", pooled([np.isfinite(k.errors) for k in kept], "frames")),
        ("body points moved by", "shoulder widths", moved),
    ]


def share(kept: Sequence[tuple[float, str]], unit: str) -> Score | None:
    """The mean of (between 0 and 1, whose); None of nothing. Its interval is the wider of two: over people, and binomial."""
    import numpy as np

    from deemo_data.audit.attacks import scores

    if not kept:
        return None
    values, people = [k for k, _ in kept], [who for _, who in kept]
    bounds = np.array([scores.binomial_interval(sum(values), len(values)), scores.mean_interval(values, people)])
    return scores.Score(
        float(np.mean(values)), float(np.nanmin(bounds[:, 0])), float(np.nanmax(bounds[:, 1])), None, len(values), unit
    )
