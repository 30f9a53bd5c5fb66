"""The attacker who reads the picture finds a known name that is there, in whole or misread, and none that is not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deemo_data.audit.attacks import screen
from deemo_data.audit.attacks.screen import recall_names_in_lines
from deemo_data.models.text import ocr
from tests.makers.burnt_text import NAME, banner, burnt, clip_of
from tests.makers.text_readers import reader as reader


@pytest.mark.parametrize(
    ("texts", "exact", "near"),
    [
        (["Dr. Johanna Falkenberg"], 2, 0),
        (["DR. JOHANNA", "FALKENBERG | Reporter"], 2, 0),
        (["DrJohannaFalkenberg"], 2, 0),  # the network did not see the spaces
        (["Dr. Johana Falkenburg"], 0, 2),
        (["nna Falkenbe"], 0, 1),  # slid half out of the picture
        (["DRJOHANAFALKENBEPG"], 0, 2),
        (["Breaking news", "weather", "18:30"], 0, 0),
        (["Johanna"], 1, 0),
        ([], 0, 0),
    ],
)
def test_names_in_what_was_read(texts: list[str], exact: int, near: int) -> None:
    found = recall_names_in_lines(["Johanna Falkenberg"], texts)
    assert (found.names, found.exact, found.near) == (2, exact, near)
    assert found.share == (exact + near) / 2


def test_a_short_name_has_to_be_a_word() -> None:
    assert recall_names_in_lines(["Li Wei"], ["deliwein"]).share == 0
    assert recall_names_in_lines(["Li Wei"], ["Li Wei, Leeds"]).share == 1
    assert recall_names_in_lines([], ["Li Wei"]).share == 0


def test_the_result_holds_no_names() -> None:
    assert all(isinstance(value, int | float) for value in recall_names_in_lines([NAME], [NAME]))


def test_a_name_in_a_video_is_read(weights: Path, media: Path, tmp_path: Path, reader: ocr.Reader) -> None:
    clip = clip_of(media / "video" / "asl_want.mkv", end_ms=700)
    made = burnt(clip, lambda t, size: (30, 30, 1.0), tmp_path / "named.mp4")
    texts = screen.read_text_of_file(tmp_path / "named.mp4", every=12)
    assert recall_names_in_lines([NAME], texts).share == 1
    assert recall_names_in_lines(["Marguerite Ozymandias"], texts).share == 0
    assert screen.read_text_of_clip(made, every=12) == texts
    assert recall_names_in_lines([NAME], screen.read_text_of_clip(clip, every=12)).share == 0


@pytest.mark.parametrize("scale", [0.35, 2.5])
def test_small_and_large_letters_are_read(weights: Path, reader: ocr.Reader, scale: float) -> None:
    rgb = np.full((720, 1280, 3), 60, np.uint8)
    tile = banner(scale)[..., ::-1]
    tile = cv2.resize(tile, None, fx=min(1, 1200 / tile.shape[1]), fy=min(1, 1200 / tile.shape[1]))
    rgb[40 : 40 + tile.shape[0], 40 : 40 + tile.shape[1]] = tile
    assert recall_names_in_lines(["Falkenberg"], screen.read_text(rgb)).share == 1
