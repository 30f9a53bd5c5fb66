"""Clips that show the same thing under two subjects: the same bytes, overlapping stretches of a source, or the same pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.media.limits import ONLY_ITSELF

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.clip import Clip


PLACES = (0.1, 0.5, 0.9)  # of a clip: where a look is taken, at the key frame before
SIDE = 16  # a look is SIDE × SIDE bits: whether each cell of the grey picture is darker than its right neighbour
FLAT = 4.0  # a picture whose grey values deviate by less says nothing
BLOCK = 1024  # clips compared with all others at once


@dataclass(frozen=True)
class NearDuplicate:
    """Two clips of different subjects that must not be on two sides, and why."""

    clips: tuple[str, str]
    subjects: tuple[str, str]
    why: str


def perceptual_hash(video: Path | str) -> str:
    """A masked video as hex: PLACES looks of 256 bits, the same whatever the size and rate it is encoded at. "" when it is flat.

    It says no more than the released video does. Raises nothing for a video that cannot be read: that has no looks.
    """
    import av

    found: list[tuple[int | None, str]] = []
    try:
        with av.open(str(video), options=ONLY_ITSELF, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                return ""
            stream.codec_context.skip_frame = "NONKEY"
            length = stream.duration or 0
            for place in PLACES:
                container.seek((stream.start_time or 0) + int(length * place), stream=stream)
                frame = next(container.decode(stream))
                same = found and frame.pts is not None and frame.pts == found[-1][0]
                found.append((frame.pts, found[-1][1] if same else _dhash(frame)))
    except (av.error.FFmpegError, OSError, IndexError, StopIteration):
        return ""
    bits = [look for _, look in found]
    return "".join(bits) if all(bits) else ""


def _dhash(frame: Any) -> str:
    import numpy as np

    grey = frame.reformat(width=SIDE + 1, height=SIDE, format="gray").to_ndarray().astype(np.int16)
    if grey.std() < FLAT:
        return ""
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def find_near_duplicates(clips: Sequence[Clip], looks_of: Mapping[str, str], most: int) -> list[NearDuplicate]:
    """Pairs of clips of different subjects that show the same thing, in order of their ids.

    looks_of  clip id -> looks
    most      of 256 bits that may differ, in the mean over a clip's looks; 0: pictures are not compared
    """
    whose = {c.id: c.facts["subject"] for c in clips}
    found = [*_same_bytes(clips), *_overlapping(clips), *(same_pictures(whose, looks_of, most) if most else ())]
    first: dict[tuple[str, str], NearDuplicate] = {}
    for pair in found:
        first.setdefault(pair.clips, pair)
    return [first[ids] for ids in sorted(first)]


def _pair(a: str, b: str, whose: Mapping[str, str], why: str) -> NearDuplicate:
    a, b = sorted((a, b))
    return NearDuplicate((a, b), (whose[a], whose[b]), why)


def _same_bytes(clips: Sequence[Clip]) -> Iterator[NearDuplicate]:
    whose, first = {c.id: c.facts["subject"] for c in clips}, dict[str, str]()
    for clip in clips:
        other = first.setdefault(clip.files["video"].sha256, clip.id)
        if whose[other] != whose[clip.id]:
            yield _pair(other, clip.id, whose, "have the same video")


def _overlapping(clips: Sequence[Clip]) -> Iterator[NearDuplicate]:
    whose = {c.id: c.facts["subject"] for c in clips}
    before: list[Clip] = []
    for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms)):
        before = [c for c in before if c.source == clip.source and c.end_ms > clip.start_ms]
        yield from (_pair(c.id, clip.id, whose, "overlap in their source") for c in before if whose[c.id] != whose[clip.id])
        before.append(clip)


def same_pictures(whose: Mapping[str, str], looks_of: Mapping[str, str], most: int) -> Iterator[NearDuplicate]:
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
    rows, columns = _near(bits, subjects, most * len(PLACES))
    kinds = np.stack([rows // BLOCK, subjects[rows], subjects[columns]], axis=1)
    _, firsts = np.unique(kinds, axis=0, return_index=True)
    yield from (_pair(seen[rows[n]], seen[columns[n]], whose, "look the same") for n in firsts)


def _near(bits: np.ndarray, subjects: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows i < k of `bits` of different subjects that differ in `most` bits or fewer: all i and k, ascending.

    Cut into `most` + 1 parts, two such rows have at least one part alike. So only rows that share a part are compared;
    the bits of a part are taken from all over the pictures, whose neighbours are often alike.
    """
    import numpy as np

    width = bits.shape[1] * 64
    places = np.random.Generator(np.random.PCG64(0)).permutation(width)
    single = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=1)
    found = []
    for part in np.array_split(places, most + 1) if most < width // 16 else [places[:0]]:  # [:0]: all rows share it
        key = np.packbits(single[:, part], axis=1) if len(part) else np.zeros((len(bits), 1), np.uint8)
        key = np.ascontiguousarray(key).view([("", key.dtype)] * key.shape[1]).ravel()
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], key[order][1:] != key[order][:-1]]))
        mixed = np.minimum.reduceat(subjects[order], starts) != np.maximum.reduceat(subjects[order], starts)
        ends = np.append(starts[1:], len(order))
        found += [_compared(order[a:b], bits, subjects, most) for a, b in zip(starts[mixed], ends[mixed], strict=True)]
    pairs = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *found]), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _compared(some: np.ndarray, bits: np.ndarray, subjects: np.ndarray, most: int) -> np.ndarray:
    """The pairs of `_near` among `some` rows, which ascend; a block at a time, so that it takes no more memory for more."""
    import numpy as np

    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(some), BLOCK):
        here = some[start : start + BLOCK]
        for other in range(start, len(some), BLOCK):
            there = some[other : other + BLOCK]
            near = (subjects[here, None] != subjects[None, there]) & (here[:, None] < there[None])
            near &= _distance(bits[here], bits[there]) <= most
            rows, columns = np.nonzero(near)
            found.append(np.stack([here[rows], there[columns]], axis=1))
    return np.concatenate(found)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits that differ, (n, words) against (m, words) of uint64: (n, m)."""
    import numpy as np

    apart = np.zeros((len(a), len(b)), np.uint16)
    for word in range(a.shape[1]):
        apart += np.bitwise_count(a[:, word, None] ^ b[None, :, word])
    return apart
