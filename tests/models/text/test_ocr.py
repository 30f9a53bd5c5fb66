"""The text detector sees lines and nothing else, at their place; the reader reads them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from deemo_data.clip import Clip, Grid
from deemo_data.errors import ModelError
from deemo_data.files import File
from deemo_data.media import frames, probe
from deemo_data.models.runtime.sessions import open_session
from deemo_data.models.runtime.weights import path_of
from deemo_data.models.text import ocr
from tests.makers.text_readers import reader  # noqa: F401

NAME = "Dr. Johanna Falkenberg"


def picture(
    text: str = NAME, at: tuple[int, int] = (60, 300), scale: float = 1.0, size: tuple[int, int] = (360, 640)
) -> np.ndarray:
    """A grey slope with white letters, blue first, and the box they fill as far as one can say."""
    bgr = np.linspace(40, 120, size[1]).astype(np.uint8)[None, :, None].repeat(size[0], 0).repeat(3, 2).copy()
    cv2.putText(bgr, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 2, cv2.LINE_AA)
    return bgr


def inked(bgr: np.ndarray) -> np.ndarray:
    return bgr.min(axis=2) > 200


def share_covered(ink: np.ndarray, found: np.ndarray) -> float:
    covered = np.zeros(ink.shape, bool)
    for x0, y0, x1, y1 in found[:, :4]:
        covered[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    return float((covered & ink).sum() / ink.sum())


# ── the map of probabilities ─────────────────────────────────────────────────────────────────────────────────


def test_a_core_grows_by_area_over_perimeter() -> None:
    chance = np.zeros((100, 200), np.float32)
    chance[40:50, 50:150] = 0.9
    quads, scores = ocr.extract_lines(chance, 0.5)
    assert len(quads) == 1
    assert 0.8 < scores[0] <= 0.9
    low, high = quads[0].min(0), quads[0].max(0)
    rim = 1.6 * 10 * 100 / (2 * 110)
    assert np.allclose(low, [50 - rim, 40 - rim], atol=1.5)
    assert np.allclose(high, [150 + rim, 50 + rim], atol=1.5)
    assert np.allclose(quads[0][0], low, atol=0.5), "the first corner is the top left one"


def test_weak_thin_and_large_half_sure_pieces_are_no_lines() -> None:
    chance = np.zeros((200, 400), np.float32)
    chance[10:20, 10:100] = 0.55
    chance[30:32, 10:100] = 0.95
    chance[60:120, 10:200] = 0.65  # as cloth looks
    assert len(ocr.extract_lines(chance, 0.6)[0]) == 0
    chance[60:120, 10:200] = 0.9
    chance[10:20, 10:100] = 0.69
    quads, scores = ocr.extract_lines(chance, 0.6)
    assert len(quads) == 2
    assert scores[0] > scores[1]


def test_an_empty_map_has_no_lines() -> None:
    quads, scores = ocr.extract_lines(np.zeros((64, 64), np.float32), 0.5)
    assert (quads.shape, scores.shape) == ((0, 4, 2), (0,))


@pytest.mark.parametrize("degrees", [0, 90])
def test_a_level_or_upright_line_stays_one_piece(degrees: int) -> None:
    quad = cv2.boxPoints(((200, 200), (300, 20), degrees))
    assert len(ocr.split_slanted_line(quad)) == 1


@pytest.mark.parametrize("degrees", [20, 45, -45, 70])
def test_a_line_on_a_slant_is_cut_into_pieces_that_cover_it_and_little_else(degrees: int) -> None:
    quad = cv2.boxPoints(((300, 300), (400, 20), degrees))
    line = np.zeros((600, 600), np.uint8)
    cv2.fillConvexPoly(line, quad.astype(np.int32), 1)
    boxes = np.array([[*p.min(0), *p.max(0)] for p in ocr.split_slanted_line(quad)])
    assert share_covered(line > 0, boxes) > 0.99
    area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes)
    whole = float(np.prod(quad.max(0) - quad.min(0)))
    assert area < 4 * 400 * 20 < whole


# ── the real networks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [(360, 640), (357, 643), (200, 1000)])
def test_a_line_is_found_where_it_is(weights: Path, size: tuple[int, int]) -> None:
    bgr = picture(at=(60, size[0] - 60), size=size)
    found = ocr.detect(ocr.load(), bgr, 0.6)
    assert len(found) == 1
    assert share_covered(inked(bgr), found) > 0.98
    assert (found[0, 2] - found[0, 0]) * (found[0, 3] - found[0, 1]) < 3 * 400 * 30
    assert found[0, :2].min() >= 0
    assert (found[0, 2:4] <= size[::-1]).all()


def test_weights_that_are_as_good_as_nothing_are_nothing(weights: Path) -> None:
    as_made = path_of(ocr.DETECTOR).read_bytes()
    ours = ocr.flush_subnormals(as_made)
    slow, fast = (sum(map(subnormal, initializers(model))) for model in (as_made, ours))
    assert slow > 100_000
    assert fast == 0
    shown = cv2.dnn.blobFromImage(cv2.resize(picture(), (320, 192)), 1 / 127.5, mean=(127.5,) * 3)
    one, other = (open_session(model, threads=1).run(None, {"x": shown})[0] for model in (as_made, ours))
    assert one.max() > 0.9, "there is a line in it"
    assert np.array_equal(one, other), "not a bit of what comes out depends on them"


def initializers(model: bytes) -> list[np.ndarray]:
    return [numpy_helper.to_array(w) for w in onnx.load_model_from_string(model).graph.initializer]


def subnormal(values: np.ndarray) -> int:
    return int(((values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)).sum()) if values.dtype == np.float32 else 0


def test_what_is_no_text_is_not_found(weights: Path, media: Path) -> None:
    """Without a line of its own below the picture, the detector sees text over half of each of these, at 0.6 to 0.9."""
    net = ocr.load()
    for name in ("asl_book.mkv", "asl_milk.mkv", "asl_hungry.mkv"):
        fact = probe.probe_video(media / "video" / name)["grid"]
        source = {"source": File(str(media / "video" / name), "")}
        clip = Clip("a", "a", 0, Grid.of(fact).ms_at(Grid.of(fact).frames), source, {"grid": fact})
        for frame in frames.read_frames(clip, every=20):
            assert len(ocr.detect(net, frame.bgr(), 0.6)) == 0, (name, frame.index)


def test_one_colour_and_noise_are_no_text(weights: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for bgr in (np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8), noise, np.zeros((2, 2, 3), np.uint8)):
        assert ocr.detect(ocr.load(), bgr, 0.6).shape == (0, 5)


def test_a_detector_that_sees_nothing_is_an_error() -> None:
    class Blind:
        def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [np.zeros((1, 1, *inputs["x"].shape[2:]), np.float32)]

    with pytest.raises(ModelError, match="does not see a line"):
        ocr.detect(Blind(), picture(), 0.6)


def test_what_is_written_is_read(weights: Path, reader: ocr.Reader) -> None:
    rgb = picture()[..., ::-1].copy()
    quads, _ = ocr.find_lines(ocr.load(), picture(), 0.6)
    text, sure = ocr.read_line(reader, rgb, quads[0])
    assert text.replace(" ", "") == NAME.replace(" ", "")
    assert sure > 0.8
    box = np.array([*quads[0].min(0), *quads[0].max(0)])
    assert ocr.read_line(reader, rgb, box)[0].replace(" ", "") == NAME.replace(" ", "")


@pytest.mark.parametrize("turns", [1, 3])
def test_a_line_that_stands_upright_is_read_too(weights: Path, reader: ocr.Reader, turns: int) -> None:
    bgr = np.ascontiguousarray(np.rot90(picture(), turns))
    quads, _ = ocr.find_lines(ocr.load(), bgr, 0.6)
    said = {ocr.read_line(reader, bgr[..., ::-1].copy(), quad)[0] for quad in quads}  # upright words are lines of their own
    assert {"Johanna", "Falkenberg"} <= {word for text in said for word in text.split()}


def test_nothing_is_read_from_nothing(weights: Path, reader: ocr.Reader) -> None:
    grey = np.full((100, 300, 3), 96, np.uint8)
    assert ocr.read_line(reader, grey, np.array([10, 10, 200, 40.0]))[0] == ""
    assert ocr.read_line(reader, grey, np.array([10, 10, 10, 40.0])) == ("", 0.0)
    assert len(reader.letters) == reader.run.get_outputs()[0].shape[-1]


def test_working_size() -> None:
    assert ocr.choose_input_size(1280, 720, 960) == (960, 540)
    assert ocr.choose_input_size(640, 480, 960) == (640, 480)
    assert ocr.choose_input_size(720, 1280, 640) == (360, 640)
    assert ocr.choose_input_size(5000, 2, 960) == (960, 2)
