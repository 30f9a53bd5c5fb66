"""Clips that show the same thing under two subjects: the same bytes, overlapping stretches of a source, or the same pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.limits import ONLY_ITSELF

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.clip import Clip

PLACES = (0.1, 0.5, 0.9)  # of a clip: where a look is taken, at the key frame before
SIDE = 16  # a look is SIDE × SIDE bits: whether each cell of the grey picture is darker than its right neighbour
FLAT = 4.0  # a picture whose grey values deviate by less says nothing
BLOCK = 1024  # clips compared with all others at once


@dataclass(frozen=True)
class Alike:
    """Two clips of different subjects that must not be on two sides, and why."""

    clips: tuple[str, str]
    subjects: tuple[str, str]
    why: str


def looks(video: Path | str) -> str:
    """A masked video as hex: PLACES looks of 256 bits, the same whatever the size and rate it is encoded at. "" when it is flat.

    It says no more than the released video does. Raises nothing for a video that cannot be read: that has no looks.
    """
    import av

    found: list[tuple[int | None, str]] = []
    try:
        with av.open(str(video), options=ONLY_ITSELF, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            length = stream.duration or 0
            for place in PLACES:
                container.seek((stream.start_time or 0) + int(length * place), stream=stream)
                frame = next(container.decode(stream))
                same = found and frame.pts is not None and frame.pts == found[-1][0]
                found.append((frame.pts, found[-1][1] if same else _look(frame)))
    except (av.error.FFmpegError, OSError, IndexError, StopIteration):
        return ""
    bits = [look for _, look in found]
    return "".join(bits) if all(bits) else ""


def _look(frame: Any) -> str:
    import numpy as np

    grey = frame.reformat(width=SIDE + 1, height=SIDE, format="gray").to_ndarray().astype(np.int16)
    if grey.std() < FLAT:
        return ""
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def alike(clips: Sequence[Clip], looks_of: Mapping[str, str], most: int) -> list[Alike]:
    """Pairs of clips of different subjects that show the same thing, in order of their ids.

    looks_of  clip id -> looks
    most      of 256 bits that may differ, in the mean over a clip's looks; 0: pictures are not compared
    """
    whose = {c.id: c.facts["subject"] for c in clips}
    found = [*_same_bytes(clips), *_overlapping(clips), *(same_pictures(whose, looks_of, most) if most else ())]
    first: dict[tuple[str, str], Alike] = {}
    for pair in found:
        first.setdefault(pair.clips, pair)
    return [first[ids] for ids in sorted(first)]


def _pair(a: str, b: str, whose: Mapping[str, str], why: str) -> Alike:
    a, b = sorted((a, b))
    return Alike((a, b), (whose[a], whose[b]), why)


def _same_bytes(clips: Sequence[Clip]) -> Iterator[Alike]:
    whose, first = {c.id: c.facts["subject"] for c in clips}, dict[str, str]()
    for clip in clips:
        other = first.setdefault(clip.files["video"].sha256, clip.id)
        if whose[other] != whose[clip.id]:
            yield _pair(other, clip.id, whose, "have the same video")


def _overlapping(clips: Sequence[Clip]) -> Iterator[Alike]:
    whose = {c.id: c.facts["subject"] for c in clips}
    before: list[Clip] = []
    for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms)):
        before = [c for c in before if c.source == clip.source and c.end_ms > clip.start_ms]
        yield from (_pair(c.id, clip.id, whose, "overlap in their source") for c in before if whose[c.id] != whose[clip.id])
        before.append(clip)


def same_pictures(whose: Mapping[str, str], looks_of: Mapping[str, str], most: int) -> Iterator[Alike]:
    """Pairs of clips (`whose`: clip id -> subject) of different subjects that look the same.

    Of two subjects a pair is named, or a few, not all.
    """
    import numpy as np

    seen = sorted(c for c in whose if looks_of.get(c))
    if not seen:
        return
    bits = np.stack([np.frombuffer(bytes.fromhex(looks_of[c]), np.uint64) for c in seen])
    numbers = {s: n for n, s in enumerate(sorted(set(whose.values())))}
    subjects = np.array([numbers[whose[c]] for c in seen])
    for start in range(0, len(seen), BLOCK):
        near = _distance(bits[start : start + BLOCK], bits[start:]) <= most * len(PLACES)
        near &= subjects[start : start + BLOCK, None] != subjects[None, start:]
        near &= np.arange(len(near))[:, None] < np.arange(len(seen) - start)[None, :]
        rows, columns = np.nonzero(near)
        _, firsts = np.unique(subjects[start + rows] * len(numbers) + subjects[start + columns], return_index=True)
        yield from (_pair(seen[start + rows[n]], seen[start + columns[n]], whose, "look the same") for n in firsts)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits that differ, (n, words) against (m, words) of uint64: (n, m)."""
    import numpy as np

    apart = np.zeros((len(a), len(b)), np.uint16)
    for word in range(a.shape[1]):
        apart += np.bitwise_count(a[:, word, None] ^ b[None, :, word])
    return apart
