"""Makes pictures of video calls, tile by tile from real footage, and of slides full of text; and little films of them."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import encode

Picture = NDArray[np.uint8]  # (height, width, 3), blue first
Boxes = list[tuple[int, int, int, int]]  # of lines of text: left, top, right, bottom
PEOPLE = ("asl_again", "asl_book", "asl_eat", "asl_help", "asl_hungry", "asl_night", "asl_want")
NAMES = ("Ana Kovac", "J. Falkenberg", "Priya S", "Tom", "Marie-Claire D", "Ola Nordmann", "Li Wei", "Amara", "guest 4")
WORDS = ("the", "participant", "described", "a", "strong", "feeling", "of", "loss", "and", "said", "that", "nobody", "asked")


@cache
def look_at_people(video: Path) -> tuple[Picture, ...]:
    """One picture each of seven people."""
    pictures = []
    for name in PEOPLE:
        with av.open(str(video / f"{name}.mkv")) as container:
            pictures.append(next(container.decode(video=0)).to_ndarray(format="bgr24"))
    return tuple(pictures)


def draw_gallery(
    video: Path, side: int, size: tuple[int, int] = (1280, 720), names: bool = True, gap: int = 6, grey: int = 30, first: int = 0
) -> tuple[Picture, Boxes]:
    """A call with `side` x `side` tiles, and where the names stand. gap: pixels between tiles; grey: what is between them."""
    people = look_at_people(video)
    width, height = ((s - gap * (side + 1)) // side for s in size)
    picture, boxes = np.full((size[1], size[0], 3), grey, np.uint8), Boxes()
    for k in range(side * side):
        person = people[(5 * k + first) % len(people)]
        scale = max(width / person.shape[1], height / person.shape[0])
        person = cv2.resize(person, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = (person.shape[0] - height) // 4, (person.shape[1] - width) // 2
        tile = person[top : top + height, left : left + width].copy()
        x, y = gap + (k % side) * (width + gap), gap + (k // side) * (height + gap)
        if names:
            letters, name = max(0.4, height / 400), NAMES[k % len(NAMES)]
            (wide, high), below = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, letters, 1)
            cv2.rectangle(tile, (2, height - high - below - 6), (wide + 8, height - 2), (20, 20, 20), -1)
            cv2.putText(tile, name, (5, height - below - 3), cv2.FONT_HERSHEY_SIMPLEX, letters, (255, 255, 255), 1, cv2.LINE_AA)
            boxes.append((x + 5, y + height - high - below - 3, x + 5 + wide, y + height - below - 3))
        picture[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return picture, boxes


def draw_slide(size: tuple[int, int], letters: float, dark: bool) -> tuple[Picture, Boxes]:
    """A slide full of text, and where its lines stand. letters: size as OpenCV counts it."""
    picture, boxes = np.full((size[1], size[0], 3), 40 if dark else 250, np.uint8), Boxes()
    thick = max(1, round(1.6 * letters))
    step = round(44 * letters)
    for k, y in enumerate(range(round(1.2 * step), size[1] - step // 2, step)):
        line = WORDS[k % len(WORDS)]
        for word in (*WORDS[k % len(WORDS) + 1 :], *WORDS):
            if cv2.getTextSize(f"{line} {word}", cv2.FONT_HERSHEY_SIMPLEX, letters, thick)[0][0] > 0.9 * size[0]:
                break
            line += f" {word}"
        (wide, high), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, letters, thick)
        x = size[0] // 20
        cv2.putText(
            picture, line, (x, y), cv2.FONT_HERSHEY_SIMPLEX, letters, (235,) * 3 if dark else (20,) * 3, thick, cv2.LINE_AA
        )
        boxes.append((x, y - high, x + wide, y))
    return picture, boxes


def film_picture(path: Path, picture: Picture, frames: int = 2) -> Clip:
    """A clip that shows the picture, shaken a little, at two frames a second."""
    height, width = picture.shape[:2]
    grid = Grid(Fraction(2), False, Fraction(0), frames, width, height)
    shaken = (cv2.cvtColor(np.roll(picture, 2 * (n % 2), axis=1), cv2.COLOR_BGR2YUV_I420) for n in range(frames))
    encode.write_video(path, shaken, grid, 18, "veryfast")
    return Clip("a", "a", 0, grid.ms_at(frames), {"source": File(str(path), "")}, {"grid": grid.to_fact()})
