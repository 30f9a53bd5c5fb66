"""Utility after masking: hand and body points found in the released clip, compared with those of the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.audit.material import Material, ResultLine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.audit.attacks.scores import Score
    from deemo_data.clip import Clip
    from deemo_data.tracks.body import Body


MAX_HAND_SHIFT = 0.08  # share of the picture's width and height: a hand counts as found again within this distance
MIN_POINTS_ON_FACE = 4  # of 21 points inside a face box: then the hand lies over the face


@dataclass(frozen=True)
class ClipUtility:
    """One clip: for each hand of the original, whether it was found again and whether it lay over a face; and pose errors."""

    hands: NDArray[np.bool_]
    on_face: NDArray[np.bool_]
    errors: NDArray[np.float64]  # per frame, in shoulder widths; NaN where no pose was found again


def measure_utility(material: Material) -> list[ResultLine]:
    """For each profile: the share of hands still found (all, and those over a face) and how far the pose moved."""
    from deemo_data.audit.attacks.face import safe_as_source
    from deemo_data.tracks.body import read_body

    lines: dict[str, ResultLine] = {}
    for profile, side in material.sides.items():
        again = material.run_stage(material.stage_named("TrackBody"), [safe_as_source(c) for c in side])
        pairs = [
            (own, compare_bodies(read_body(own.path("body")), read_body(again[own.id].path("body")), own))
            for own in material.clips if own.id in again
        ]  # fmt: skip
        whose = [c.facts["subject"] for c, _ in pairs]
        for name, measure, score in pool_utility([k for _, k in pairs], whose):
            lines.setdefault(name, ResultLine(name, "MediaPipe", measure, {}, "")).cells[profile] = score
    return list(lines.values())


def compare_bodies(before: Body, after: Body, clip: Clip) -> ClipUtility:
    """Compare what the tracker finds in the masked clip with what it found in the original."""
    import numpy as np

    from deemo_data.tracks import faces
    from deemo_data.tracks.skeleton import BODY_POINTS, FACE_POINTS, TRACKED

    grid, count = clip.grid, min(len(before.points), len(after.points))
    boxes = faces.boxes_by_frame(faces.read_faces(clip.path("faces")))
    size = np.array([grid.width, grid.height], np.float32)
    found_again, over_face = [], []
    for frame in range(count):
        hands_after = hands_of(after, frame)
        for hand in hands_of(before, frame):
            found_again.append(
                any((np.abs(hand.mean(axis=0) - other.mean(axis=0)) < MAX_HAND_SHIFT).all() for other in hands_after)
            )
            pixels = hand * size
            inside = [int(((pixels >= box[:2]) & (pixels <= box[2:4])).all(axis=1).sum()) for box in boxes.get(frame, ())]
            over_face.append(any(n >= MIN_POINTS_ON_FACE for n in inside))
    points = [b.points[:count, 0, FACE_POINTS:BODY_POINTS, :2] * size for b in (before, after)]
    across = np.linalg.norm(np.diff(before.points[:count, 0, TRACKED.shoulders, :2] * size, axis=1)[:, 0], axis=-1)
    measured = ~np.isnan(points[0]).any(axis=(1, 2)) & (across > 1)
    errors = np.linalg.norm(points[0] - points[1], axis=-1).mean(axis=1)[measured] / across[measured]
    return ClipUtility(np.array(found_again, bool), np.array(over_face, bool), errors.astype(np.float64))


def hands_of(body: Body, frame: int) -> list[NDArray[np.float32]]:
    """The hands in a frame, each (21, 2) in shares of the picture."""
    import numpy as np

    from deemo_data.tracks.skeleton import BODY_POINTS, HAND_POINTS

    hands = body.points[frame, :, BODY_POINTS:, :2].reshape(-1, HAND_POINTS, 2)
    return [h for h in hands if not np.isnan(h).any()]


def pool_utility(clips: Sequence[ClipUtility], whose: Sequence[str]) -> list[tuple[str, str, Any]]:
    """(name, measure, figure) over all clips."""
    import numpy as np

    from deemo_data.audit.attacks import scores

    def pooled(values: list[NDArray[np.bool_]], unit: str) -> scores.Score | None:
        return score_share([(float(v), w) for w, own in zip(whose, values, strict=True) for v in own], unit)

    pairs = [(float(np.nanmedian(k.errors)), w) for k, w in zip(clips, whose, strict=True) if np.isfinite(k.errors).any()]
    values, people = [v for v, _ in pairs], [w for _, w in pairs]
    mean = float(np.mean(values)) if values else float("nan")
    moved = scores.Score(mean, *scores.mean_interval(values, people), None, len(values), "clips")
    return [
        ("hands still found", "share", pooled([k.hands for k in clips], "hands")),
        ("hands over a face still found", "share", pooled([k.hands[k.on_face] for k in clips], "hands")),
        ("body still found", "share", pooled([np.isfinite(k.errors) for k in clips], "frames")),
        ("body points moved by", "shoulder widths", moved),
    ]


def score_share(pairs: Sequence[tuple[float, str]], unit: str) -> Score | None:
    """The mean of (value between 0 and 1, subject) pairs; None without pairs. The interval is the wider of two: a bootstrap over
    people, and the binomial one."""
    import numpy as np

    from deemo_data.audit.attacks import scores

    if not pairs:
        return None
    values, people = [k for k, _ in pairs], [who for _, who in pairs]
    bounds = np.array([scores.binomial_interval(sum(values), len(values)), scores.mean_interval(values, people)])
    return scores.Score(
        float(np.mean(values)), float(np.nanmin(bounds[:, 0])), float(np.nanmax(bounds[:, 1])), None, len(values), unit
    )
