"""Makes films of crowds: faces of real footage, small, before made-up walls, at known places. And tells which of them show."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.stages.deidentify.check_leaks import CheckLeaks
from deemo_data.stages.deidentify.mask_video import MaskVideo
from deemo_data.stages.detect.find_faces import FindFaces
from deemo_data.tracks.body import Body, write_body
from deemo_data.tracks.faces import write_faces
from deemo_data.tracks.linking import rows_to_table
from tests.makers.talker import pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

# File, frame, head (x0, y0, x1, y1), face (the same), in pixels of the frame as it lies in the file; looked at.
HEADS = (
    ("grid_bbaf2n.mpg", 11, (67, 70, 243, 286), (104, 106, 207, 250)),
    ("grid_brbk7n.mpg", 40, (83, 75, 258, 288), (119, 111, 222, 260)),
    ("grid_id2_vcd_swwp2s.mpg", 11, (91, 55, 271, 285), (128, 92, 234, 248)),
    ("grid_lbax4n.mpg", 11, (83, 33, 294, 288), (127, 77, 251, 247)),
    ("grid_lbbc2a.mpg", 40, (88, 65, 290, 288), (130, 107, 249, 265)),
    ("grid_lrwp9a.mpg", 11, (80, 41, 291, 288), (124, 85, 248, 262)),
    ("signer_selfie_slp.mp4", 8, (142, 70, 441, 419), (204, 132, 380, 358)),
    ("talker_hands_speech_wim.mp4", 77, (475, 34, 756, 362), (533, 93, 699, 304)),
)
SHOWN_DETAIL = 0.6  # of a face's detail that is still there in half of it: then it shows


@dataclass(frozen=True)
class Crowd:
    """A film, and where its faces are.

    boxes   (frames, faces, 4) x0, y0, x1, y1 in pixels, of the faces from brow to chin and ear to ear
    """

    clip: Clip
    boxes: NDArray[np.float64]


def make_crowd(
    media: Path, folder: Path, size: tuple[int, int], seed: int, frames: int = 31, fps: int = 25, crf: int = 23,
    speed: float = 1.0, faces: int = 18, widths: tuple[float, float] = (18, 84),
) -> Crowd:  # fmt: skip
    """A film of faces that are `widths` pixels wide, half of which move by up to `speed` pixels a frame.

    A fifth of them is cut by an edge of the picture. No two of them touch.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    heads = [read_head(media, *head) for head in HEADS]
    wall = make_wall(rng, width, height, seed % 3)
    people: list[tuple[float, float, float, NDArray[np.float64], int]] = []  # middle, width, movement, which head
    for _ in range(200 * faces):
        wide = float(np.exp(rng.uniform(*np.log(widths))))
        x, y = rng.uniform(wide, width - wide), rng.uniform(wide, height - wide)
        if rng.random() < 0.2:
            x, y = ((rng.choice([0.3 * wide, width - 0.3 * wide]), y), (x, rng.choice([0.3 * wide, height - 0.3 * wide])))[
                rng.integers(2)
            ]
        room = 1.5 * wide + speed * frames
        if all(np.hypot(x - p[0], y - p[1]) > room + 1.5 * p[2] for p in people):
            people.append((x, y, wide, rng.uniform(-speed, speed, 2) * rng.integers(2), int(rng.integers(len(heads)))))
        if len(people) == faces:
            break
    film, boxes = [], np.zeros((frames, len(people), 4))
    for f in range(frames):
        picture = wall.copy()
        for k, (x, y, wide, step, head) in enumerate(people):
            boxes[f, k] = paste_head(picture, *heads[head], x + step[0] * f, y + step[1] * f, wide)
        film.append(picture)
    return Crowd(write_film(film, fps, crf, folder), boxes)


def read_head(
    media: Path, name: str, frame: int, head: tuple[int, int, int, int], face: tuple[int, int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The picture (h, w, 3) of a head, and the face in it, in pixels of that picture."""
    x0, y0, x1, y1 = head
    (picture,) = pictures(media / "video" / name, frame, 1)
    return picture[y0:y1, x0:x1], np.array(face, float) - (x0, y0, x0, y0)


def make_wall(rng: np.random.Generator, width: int, height: int, kind: int) -> NDArray[np.uint8]:
    """A wall of one colour, one that grows lighter to the side and has some grain, or one with soft spots."""
    if kind == 0:
        return np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    if kind == 1:
        shade = np.linspace(60, 200, width)[None, :, None] + np.linspace(-30, 30, height)[:, None, None]
        return (shade + rng.normal(0, 3, (height, width, 3))).clip(0, 255).astype(np.uint8)
    spots = rng.integers(30, 220, (height // 40 + 2, width // 40 + 2, 3)).astype(np.uint8)
    wall = cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), 3), np.uint8)


def paste_head(
    picture: NDArray[np.uint8], head: NDArray[np.uint8], face: NDArray[np.float64], x: float, y: float, wide: float
) -> NDArray[np.float64]:
    """Put a head into the picture, in place, the middle of its face at (x, y), the face so wide. Returns its box."""
    scale = wide / (face[2] - face[0])
    small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    left = round(x - (face[0] + face[2]) / 2 * scale)
    top = round(y - (face[1] + face[3]) / 2 * scale)
    (high, long), (height, width) = small.shape[:2], picture.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + long, width), min(top + high, height)
    if x0 < x1 and y0 < y1:
        picture[y0:y1, x0:x1] = small[y0 - top : y1 - top, x0 - left : x1 - left]
    return face * scale + (left, top, left, top)


def write_film(film: list[NDArray[np.uint8]], fps: int, crf: int, folder: Path) -> Clip:
    """The clip of a film in which no body was found."""
    import av

    count, (height, width) = len(film), film[0].shape[:2]
    path = folder / "crowd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in film:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    write_body(
        Body(np.full((count, 1, 75, 3), np.nan, np.float32), np.zeros((count, 1, 75), np.float32)), folder / "body.parquet"
    )
    write_faces(rows_to_table([]), folder / "text.parquet")
    files = {"source": path, "body": folder / "body.parquet", "text_boxes": folder / "text.parquet", "hand_looks": path}
    grid = Grid(Fraction(fps), False, Fraction(0), count, width, height)
    return Clip("c", "c", 0, grid.ms_at(count), {n: File.of(p) for n, p in files.items()}, {"grid": grid.to_fact(), "drawn": []})


def mask_and_check(clip: Clip, folder: Path, find: FindFaces, mask: MaskVideo, check: CheckLeaks) -> tuple[Clip, bool]:
    """The clip with the masked film as `safe`, and whether the leak check lets it pass."""
    find(clip, folder)
    clip = clip.with_results({"faces": File.of(folder / find.makes["faces"])}, {})
    mask(clip, folder)
    clip = clip.with_results({"safe": File.of(folder / mask.makes["masked"])}, {})
    return clip, bool(check(clip, folder)["leaks_passed"])


def find_bare_faces(crowd: Crowd, released: Path) -> list[tuple[int, int, int]]:
    """(frame, number of the face, its width) of all faces that show. No detector is asked: it is known where they are."""
    count = len(crowd.boxes)
    bare = []
    for f, (source, shown) in enumerate(
        zip(pictures(crowd.clip.path("source"), 0, count), pictures(released, 0, count), strict=True)
    ):
        for k, box in enumerate(crowd.boxes[f]):
            if measure_detail(source, shown, box) > SHOWN_DETAIL:
                bare.append((f, k, round(float(box[2] - box[0]))))
    return bare


def measure_detail(source: NDArray[np.uint8], shown: NDArray[np.uint8], box: NDArray[np.float64]) -> float:
    """The share of a face's detail that is left in its best half (upper, lower, left, right): 1 bare, near 0 painted over.

    Detail is what differs from the mean of the half. A face of which less than half lies in the picture counts as 0.
    """
    height, width = source.shape[:2]
    x, y, rx, ry = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) * 0.45, (box[3] - box[1]) * 0.45
    x0, y0, x1, y1 = (round(float(v)) for v in np.clip([x - rx, y - ry, x + rx, y + ry], 0, (width, height, width, height)))
    ys, xs = np.mgrid[y0:y1, x0:x1] + 0.5
    inside = ((xs - x) / rx) ** 2 + ((ys - y) / ry) ** 2 <= 1
    if inside.sum() < 0.5 * np.pi * rx * ry:
        return 0.0
    before, after = (p[y0:y1, x0:x1].mean(axis=2) for p in (source, shown))
    shares = []
    for half in (xs < x, xs >= x, ys < y, ys >= y):
        part = inside & half
        if part.sum() > 0.2 * inside.sum():
            a, b = before[part] - before[part].mean(), after[part] - after[part].mean()
            shares.append(float((a * b).sum() / max(float((a * a).sum()), 1e-9)))
    return max(shares)
