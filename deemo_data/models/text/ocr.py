"""PP-OCR (Apache-2.0): detects text in a picture, and reads it; run by onnxruntime.

The detector returns a map of the probability that a pixel lies in the core of a text line ("DB", Liao et al. 2020). Each
connected piece of the map is the core of a line, which is larger by an amount that depends on area / perimeter. FindText uses the
detector. The reader (SVTR, Du et al. 2022, with CTC, Graves et al. 2006) is for the audit, which reads what a masked picture
still shows.
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
from deemo_data.models.runtime.sessions import open_session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


DETECTOR = "ppocr-detector-090f04"
READER = "ppocr-recogniser-6f3272"
SIZE_STEP = 32  # pixels; the detector halves the size five times
CORE_THRESHOLD = 0.3  # a pixel with at least this probability belongs to a core
GROWTH = 1.6  # times area / perimeter: distance from the core to the rim of the line
MIN_LINE_PIXELS = 3  # thinner pieces are no lines
LARGE_LINE_SHARE = (
    0.08  # of the shorter side of the picture; higher cores need LARGE_LINE_THRESHOLD, as cloth and hands look like text
)
LARGE_LINE_THRESHOLD = 0.7
OWN_LINE_PIXELS = 64  # height of the line that we write below the picture
SLANT_SHARE = 0.1  # a line that rises by more than this share of its length is slanted
MAX_PIECES = 64
READER_HEIGHT = 48  # pixels of the reader's input
READER_WIDTHS = (16, 1920)  # smallest and largest width of the reader's input


@cache
def load(name: str = DETECTOR) -> Any:
    """Load the detector, once per process."""
    model = flush_subnormals(path_of(name).read_bytes())
    return open_session(model, threads=1)  # two threads cost a tenth more CPU time and save no time beside other work


def flush_subnormals(model: bytes) -> bytes:
    """The network with all weights below the smallest normal number (1e-38) set to zero.

    The detector has 256,000 such weights. They do not change its results, and processors need a hundred times as long for each.
    """
    network = onnx.load_model_from_string(model)
    for weights in network.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32:
            normal = np.abs(values) >= np.finfo(np.float32).tiny
            weights.CopyFrom(numpy_helper.from_array(np.where(normal, values, np.float32(0)), weights.name))
    return bytes(network.SerializeToString())


def choose_input_size(width: int, height: int, longer_side: int) -> tuple[int, int]:
    """The size (width, height) at which to show a picture: the longer side at most `longer_side` pixels, never enlarged."""
    scale = min(1.0, longer_side / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))


def detect(net: Any, bgr: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Text in a picture (h, w, 3) of any size: upright boxes (n, 5) in its pixels, best score first.

    A slanted line is split into pieces, so that its boxes do not cover half the picture.
    """
    height, width = bgr.shape[:2]
    quads, scores = find_lines(net, bgr, threshold)
    rows = [
        [*np.clip(piece.min(0), 0, (width, height)), *np.clip(piece.max(0), 0, (width, height)), score]
        for quad, score in zip(quads, scores, strict=True)
        for piece in split_slanted_line(quad)
    ]
    return np.array(rows, np.float32) if rows else boxes.make_empty_boxes()


def find_lines(net: Any, bgr: NDArray[np.uint8], threshold: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lines of text in a picture (h, w, 3): corners (n, 4, 2) in its pixels, and scores (n,), best first.

    We write a line of our own below the picture. In a picture without any text this network finds text everywhere, with scores up
    to 0.9; with one line to find, it finds only that one. Our line also proves that the network works: if it is not found, this
    raises ModelError.
    """
    height, width = bgr.shape[:2]
    probability = net.run(None, {"x": cv2.dnn.blobFromImage(_add_own_line(bgr), 1 / 127.5, mean=(127.5,) * 3)})[0][0, 0]
    if probability[-OWN_LINE_PIXELS:].max() < CORE_THRESHOLD:
        raise ModelError("the text detector does not see a line that is there", "Type: deemo models pull")
    return extract_lines(np.ascontiguousarray(probability[:height, :width]), threshold)


def _add_own_line(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, padded with black to multiples of 32, with a line of text of its width below it."""
    even = cv2.copyMakeBorder(
        bgr, 0, -bgr.shape[0] % SIZE_STEP + OWN_LINE_PIXELS, 0, -bgr.shape[1] % SIZE_STEP, cv2.BORDER_CONSTANT
    )
    words = "this is a line of text " * (1 + even.shape[1] // 350)
    cv2.putText(
        even, words, (8, even.shape[0] - OWN_LINE_PIXELS // 3), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2, cv2.LINE_AA
    )
    return np.asarray(even, np.uint8)


def extract_lines(probability: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lines in a probability map (h, w): corners (n, 4, 2) in its pixels, and scores (n,), best first.

    The first corner is the top left one of a level line; the others follow around. A score is the mean of the map over the core.
    """
    core = cv2.dilate((probability > CORE_THRESHOLD).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    quads, scores = [], []
    for contour in contours:
        middle, (core_width, core_height), angle = cv2.minAreaRect(contour)
        if min(core_width, core_height) < MIN_LINE_PIXELS:
            continue
        x, y, w, h = cv2.boundingRect(contour)
        inside = np.zeros((h, w), np.uint8)
        cv2.drawContours(inside, [contour], 0, 1, cv2.FILLED, offset=(-x, -y))
        score = float(probability[y : y + h, x : x + w][inside > 0].mean())
        if score >= (
            threshold
            if min(core_width, core_height) < LARGE_LINE_SHARE * min(probability.shape)
            else max(threshold, LARGE_LINE_THRESHOLD)
        ):
            rim = GROWTH * core_width * core_height / (core_width + core_height)  # twice the area over the perimeter
            quad = cv2.boxPoints((middle, (core_width + rim, core_height + rim), angle))
            quads.append(np.roll(quad, -int(quad.sum(1).argmin()), axis=0))
            scores.append(score)
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    return np.array(quads, np.float32).reshape(-1, 4, 2)[order], np.array(scores, np.float32)[order]


def split_slanted_line(quad: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """A line (4, 2) as quadrilaterals: itself if it is level or upright, otherwise pieces that are twice as long as high."""
    a, b, c, d = quad
    if np.hypot(*(b - a)) < np.hypot(*(d - a)):
        a, b, c, d = d, a, b, c
    along = b - a
    length, height = float(np.hypot(*along)), max(float(np.hypot(*(d - a))), 1.0)
    if float(np.abs(along).min()) < SLANT_SHARE * length:
        return [quad]
    at = np.linspace(0, 1, min(MAX_PIECES, math.ceil(length / (2 * height))) + 1)[:, None]
    above, below = a + at * (b - a), d + at * (c - d)
    return [np.stack([above[i], above[i + 1], below[i + 1], below[i]]) for i in range(len(at) - 1)]


class Reader(NamedTuple):
    """The loaded reader and its alphabet."""

    run: Any
    letters: tuple[str, ...]  # per class of the output; the first one is the blank of CTC


@cache
def load_reader(name: str = READER) -> Reader:
    """Load the reader, once per process. Its letters are stored in the file."""
    run = open_session(str(path_of(name)))
    letters = run.get_modelmeta().custom_metadata_map["character"].splitlines()
    return Reader(run, ("", *letters, " "))


def read_line(net: Reader, rgb: NDArray[np.uint8], place: NDArray[np.floating]) -> tuple[str, float]:
    """The text of a line in a picture (h, w, 3), and its confidence; ("", 0.0) when the reader finds no text.

    place  a box (x0, y0, x1, y1) in pixels, or the corners of a line (4, 2) as `find_lines` returns them
    Takes the best letter of each step, merges repeats, and drops blanks. The confidence is the mean over the letters. A line that
    is higher than line_width is read from both sides, and the better reading is returned.
    """
    x0, y0, x1, y1 = (*place.min(0), *place.max(0)) if place.ndim == 2 else place[:4]
    corners = place if place.ndim == 2 else np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    line_width, line_height = (float(np.hypot(*(corners[i] - corners[0]))) for i in (1, 3))
    if min(line_width, line_height) < MIN_LINE_PIXELS:
        return "", 0.0
    directions = [corners] if line_width * 1.5 > line_height else [np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)]
    return max((_read_level_line(net, rgb, way) for way in directions), key=lambda reading: reading[1])


def _read_level_line(net: Reader, rgb: NDArray[np.uint8], corners: NDArray[np.floating]) -> tuple[str, float]:
    line_width, line_height = (float(np.hypot(*(corners[i] - corners[0]))) for i in (1, 3))
    width = int(np.clip(round(line_width * READER_HEIGHT / line_height), *READER_WIDTHS))
    square = np.array([(0, 0), (width, 0), (width, READER_HEIGHT), (0, READER_HEIGHT)], np.float32)
    transform = cv2.getPerspectiveTransform(corners.astype(np.float32), square)
    line = cv2.warpPerspective(rgb, transform, (width, READER_HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    blob = cv2.dnn.blobFromImage(line, 1 / 127.5, mean=(127.5,) * 3, swapRB=True)
    probability = net.run.run(None, {"x": blob})[0][0]
    best, confidence = probability.argmax(axis=1), probability.max(axis=1)
    kept = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
    text = "".join(net.letters[i] for i in best[kept])
    return text, float(confidence[kept].mean()) if text else 0.0
