"""PP-OCR (Apache-2.0): where text is in a picture, and what it says; by onnxruntime alone.

The detector gives a map of how likely each pixel lies in the core of a text line ("DB", Liao et al. 2020). A line is
a connected piece of that map, and larger than its core by area / perimeter. The reader (SVTR, Du et al. 2022, with
CTC, Graves et al. 2006) is for the attacker, who reads what a masked picture still shows.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from deemo_data.errors import ModelError
from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.sessions import session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


DETECTOR = "ppocr-detector-090f04"
READER = "ppocr-recogniser-6f3272"
STEP = 32  # the detector halves five times
CORE = 0.3  # from which value on a pixel belongs to a line
GROW = 1.6  # times area / perimeter: how far a line's rim lies outside its core
LEAST = 3  # px: what is thinner is no line
LARGE = 0.08  # of the picture's shorter side: cores that are higher have to be surer, cloth and hands are half sure
SURE = 0.7
LINE = 64  # px: height of the line of ours below the picture
SLANT = 0.1  # a line that rises by more than this share of its length is on a slant
MOST_PIECES = 64
READ_HEIGHT = 48  # px: what the reader wants
READ_WIDTHS = (16, 1920)  # px: the narrowest and widest line it is shown


@cache
def load(name: str = DETECTOR) -> Any:
    """The detector, once per process."""
    model = without_subnormals(path_of(name).read_bytes())
    return session(model, threads=1)  # two cost a tenth more and save no time beside other work


def without_subnormals(model: bytes) -> bytes:
    """The network with its weights below the smallest normal number (1e-38) as zero.

    The detector has 256,000 of them, of no weight at all; processors take a hundred times as long over each.
    """
    net = onnx.load_model_from_string(model)
    for weights in net.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32:
            normal = np.abs(values) >= np.finfo(np.float32).tiny
            weights.CopyFrom(numpy_helper.from_array(np.where(normal, values, np.float32(0)), weights.name))
    return bytes(net.SerializeToString())


def working_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """(width, height) to show a picture at: the longer side `longest` pixels, or as it is where that is less."""
    scale = min(1.0, longest / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))


def detect(net: Any, bgr: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Text in one picture (h, w, 3) of any size: (n, 5) upright boxes in its pixels, best score first.

    A line on a slant is cut into pieces, so that its boxes do not hide half the picture.
    """
    height, width = bgr.shape[:2]
    quads, scores = find(net, bgr, threshold)
    found = [
        [*np.clip(piece.min(0), 0, (width, height)), *np.clip(piece.max(0), 0, (width, height)), score]
        for quad, score in zip(quads, scores, strict=True)
        for piece in pieces(quad)
    ]
    return np.array(found, np.float32) if found else boxes.none()


def find(net: Any, bgr: NDArray[np.uint8], threshold: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lines of text in one picture (h, w, 3): corners (n, 4, 2) in its pixels, and scores (n,), best first.

    A line of ours is written below the picture. A picture without any text makes this network see it everywhere, in
    half of the picture with scores up to 0.9; with one line to see, it sees that one. It also shows that the network
    works: a ModelError where the line is not found.
    """
    height, width = bgr.shape[:2]
    chance = net.run(None, {"x": cv2.dnn.blobFromImage(_with_a_line(bgr), 1 / 127.5, mean=(127.5,) * 3)})[0][0, 0]
    if chance[-LINE:].max() < CORE:
        raise ModelError("the text detector does not see a line that is there", "Type: deemo models pull")
    return lines(np.ascontiguousarray(chance[:height, :width]), threshold)


def _with_a_line(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, black to the next multiples of 32, and below it a line of text as wide as it is."""
    even = cv2.copyMakeBorder(bgr, 0, -bgr.shape[0] % STEP + LINE, 0, -bgr.shape[1] % STEP, cv2.BORDER_CONSTANT)
    words = "this is a line of text " * (1 + even.shape[1] // 350)
    cv2.putText(even, words, (8, even.shape[0] - LINE // 3), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2, cv2.LINE_AA)
    return np.asarray(even, np.uint8)


def lines(chance: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lines in a map (h, w) of probabilities: corners (n, 4, 2) in its pixels, and scores (n,), best first.

    Corners go round from the one that is top left when the line is level. A score is the mean of the map over the core.
    """
    core = cv2.dilate((chance > CORE).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    quads, scores = [], []
    for contour in contours:
        middle, (wide, high), angle = cv2.minAreaRect(contour)
        if min(wide, high) < LEAST:
            continue
        x, y, w, h = cv2.boundingRect(contour)
        inside = np.zeros((h, w), np.uint8)
        cv2.drawContours(inside, [contour], 0, 1, cv2.FILLED, offset=(-x, -y))
        score = float(chance[y : y + h, x : x + w][inside > 0].mean())
        if score >= (threshold if min(wide, high) < LARGE * min(chance.shape) else max(threshold, SURE)):
            rim = GROW * wide * high / (wide + high)  # twice the area over the perimeter
            quad = cv2.boxPoints((middle, (wide + rim, high + rim), angle))
            quads.append(np.roll(quad, -int(quad.sum(1).argmin()), axis=0))
            scores.append(score)
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    return np.array(quads, np.float32).reshape(-1, 4, 2)[order], np.array(scores, np.float32)[order]


def pieces(quad: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """A line as quads (4, 2): itself where it is level or upright, else parts twice as long as high."""
    a, b, c, d = quad
    if np.hypot(*(b - a)) < np.hypot(*(d - a)):
        a, b, c, d = d, a, b, c
    along = b - a
    long, high = float(np.hypot(*along)), max(float(np.hypot(*(d - a))), 1.0)
    if float(np.abs(along).min()) < SLANT * long:
        return [quad]
    at = np.linspace(0, 1, min(MOST_PIECES, math.ceil(long / (2 * high))) + 1)[:, None]
    above, below = a + at * (b - a), d + at * (c - d)
    return [np.stack([above[i], above[i + 1], below[i + 1], below[i]]) for i in range(len(at) - 1)]


class Reader(NamedTuple):
    run: Any
    letters: tuple[str, ...]  # by class: the first is CTC's blank


@cache
def load_reader(name: str = READER) -> Reader:
    """The network that reads a line, once per process; its letters lie in the file."""
    run = session(str(path_of(name)))
    letters = run.get_modelmeta().custom_metadata_map["character"].splitlines()
    return Reader(run, ("", *letters, " "))


def read(net: Reader, rgb: NDArray[np.uint8], place: NDArray[np.floating]) -> tuple[str, float]:
    """What the line at a place of a picture (h, w, 3) says, and how sure the network is; ("", 0.0) where it reads none.

    place   a box (x0, y0, x1, y1) in pixels, or the four corners of a line (4, 2) as `find` gives them
    The best letter of each step, repeats merged, blanks dropped; the confidence is the mean over the letters. A line
    that is higher than wide is read from both sides.
    """
    x0, y0, x1, y1 = (*place.min(0), *place.max(0)) if place.ndim == 2 else place[:4]
    corners = place if place.ndim == 2 else np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    wide, high = (float(np.hypot(*(corners[i] - corners[0]))) for i in (1, 3))
    if min(wide, high) < LEAST:
        return "", 0.0
    ways = [corners] if wide * 1.5 > high else [np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)]
    return max((_read(net, rgb, way) for way in ways), key=lambda said: said[1])


def _read(net: Reader, rgb: NDArray[np.uint8], corners: NDArray[np.floating]) -> tuple[str, float]:
    wide, high = (float(np.hypot(*(corners[i] - corners[0]))) for i in (1, 3))
    width = int(np.clip(round(wide * READ_HEIGHT / high), *READ_WIDTHS))
    square = np.array([(0, 0), (width, 0), (width, READ_HEIGHT), (0, READ_HEIGHT)], np.float32)
    turn = cv2.getPerspectiveTransform(corners.astype(np.float32), square)
    line = cv2.warpPerspective(rgb, turn, (width, READ_HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    blob = cv2.dnn.blobFromImage(line, 1 / 127.5, mean=(127.5,) * 3, swapRB=True)
    chance = net.run.run(None, {"x": blob})[0][0]
    best, sure = chance.argmax(axis=1), chance.max(axis=1)
    kept = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
    text = "".join(net.letters[i] for i in best[kept])
    return text, float(sure[kept].mean()) if text else 0.0
