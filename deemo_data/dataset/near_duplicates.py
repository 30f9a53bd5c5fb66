"""Near duplicates: clips that show the same thing under two subjects.

Clips are near duplicates when their videos have the same bytes, when they overlap in their source, or when their pictures look
the same. The last is measured by a perceptual hash: the "difference hash" (dHash) of three frames. Subjects with near duplicates
go into the same split, because a model would otherwise be tested on clips that it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.media.limits import FILE_OPTIONS

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.clip import Clip

SAMPLE_POSITIONS = (0.1, 0.5, 0.9)  # shares of a clip's duration; the key frame before each is hashed
HASH_SIDE_BITS = 16  # a frame's hash has 16 × 16 bits: whether each cell of the grey picture is darker than its right neighbour
MIN_GREY_DEVIATION = 4.0  # standard deviation of grey values (0 to 255); a flatter picture tells nothing apart
CLIPS_PER_BLOCK = 1024  # clips compared with others at once, to limit memory


@dataclass(frozen=True)
class NearDuplicate:
    """Two clips of different subjects that must not be in different splits, and the reason."""

    clips: tuple[str, str]
    subjects: tuple[str, str]
    reason: str


def perceptual_hash(video: Path | str) -> str:
    """Perceptual hash of a masked video as hex digits: 256 bits for each of SAMPLE_POSITIONS. It is empty when a frame is flat.

    The hash hardly depends on the size and rate at which a video is encoded, and says no more than the released video does.
    A video that cannot be read raises nothing: its hash is empty.
    """
    import av

    hashes: list[tuple[int | None, str]] = []  # (pts, hash) of each frame
    try:
        with av.open(str(video), options=FILE_OPTIONS, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                return ""
            stream.codec_context.skip_frame = "NONKEY"
            duration = stream.duration or 0
            for position in SAMPLE_POSITIONS:
                container.seek((stream.start_time or 0) + int(duration * position), stream=stream)
                frame = next(container.decode(stream))
                is_repeated = hashes and frame.pts is not None and frame.pts == hashes[-1][0]
                hashes.append((frame.pts, hashes[-1][1] if is_repeated else _dhash(frame)))
    except (av.error.FFmpegError, OSError, IndexError, StopIteration):
        return ""
    parts = [frame_hash for _, frame_hash in hashes]
    return "".join(parts) if all(parts) else ""


def _dhash(frame: Any) -> str:
    """Difference hash of one frame as hex digits; empty when the picture is flat."""
    import numpy as np

    grey = frame.reformat(width=HASH_SIDE_BITS + 1, height=HASH_SIDE_BITS, format="gray").to_ndarray().astype(np.int16)
    if grey.std() < MIN_GREY_DEVIATION:
        return ""
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def find_near_duplicates(clips: Sequence[Clip], hash_of_clip: Mapping[str, str], max_distance: int) -> list[NearDuplicate]:
    """Pairs of clips of different subjects that show the same thing, in order of their ids.

    hash_of_clip  clip id -> perceptual hash
    max_distance  bits of 256 that may differ, on average over the frames of a clip; 0: pictures are not compared
    """
    subject_of = {c.id: c.facts["subject"] for c in clips}
    pairs = [*_find_same_bytes(clips, subject_of), *_find_overlapping(clips, subject_of)]
    if max_distance:
        pairs += find_similar_pictures(subject_of, hash_of_clip, max_distance)
    first: dict[tuple[str, str], NearDuplicate] = {}  # of two reasons, the first counts
    for pair in pairs:
        first.setdefault(pair.clips, pair)
    return [first[ids] for ids in sorted(first)]


def _make_pair(a: str, b: str, subject_of: Mapping[str, str], reason: str) -> NearDuplicate:
    a, b = sorted((a, b))
    return NearDuplicate((a, b), (subject_of[a], subject_of[b]), reason)


def _find_same_bytes(clips: Sequence[Clip], subject_of: Mapping[str, str]) -> Iterator[NearDuplicate]:
    first: dict[str, str] = {}  # sha256 -> first clip with this video
    for clip in clips:
        other = first.setdefault(clip.files["video"].sha256, clip.id)
        if subject_of[other] != subject_of[clip.id]:
            yield _make_pair(other, clip.id, subject_of, "have the same video")


def _find_overlapping(clips: Sequence[Clip], subject_of: Mapping[str, str]) -> Iterator[NearDuplicate]:
    still_running: list[Clip] = []  # earlier clips that end after the start of this one
    for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms)):
        still_running = [c for c in still_running if c.source == clip.source and c.end_ms > clip.start_ms]
        for other in still_running:
            if subject_of[other.id] != subject_of[clip.id]:
                yield _make_pair(other.id, clip.id, subject_of, "overlap in their source")
        still_running.append(clip)


def find_similar_pictures(
    subject_of: Mapping[str, str], hash_of_clip: Mapping[str, str], max_distance: int
) -> Iterator[NearDuplicate]:
    """Pairs of clips of different subjects that look the same. For two subjects it names one pair, or a few, not all.

    subject_of  clip id -> subject; hash_of_clip and max_distance as in `find_near_duplicates`
    """
    import numpy as np

    clips = sorted(clip for clip in subject_of if hash_of_clip.get(clip))
    if not clips:
        return
    bits = np.stack([np.frombuffer(bytes.fromhex(hash_of_clip[clip]), np.uint64) for clip in clips])
    numbers = {subject: number for number, subject in enumerate(sorted(set(subject_of.values())))}
    subjects = np.array([numbers[subject_of[clip]] for clip in clips])
    rows, columns = _find_close_rows(bits, subjects, max_distance * len(SAMPLE_POSITIONS))
    kinds = np.stack([rows // CLIPS_PER_BLOCK, subjects[rows], subjects[columns]], axis=1)
    _, firsts = np.unique(kinds, axis=0, return_index=True)
    yield from (_make_pair(clips[rows[n]], clips[columns[n]], subject_of, "look the same") for n in firsts)


def _find_close_rows(bits: np.ndarray, subjects: np.ndarray, max_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows i < k of `bits` of different subjects that differ in at most `max_bits` bits: (all i, all k), ascending.

    bits (clips, words) of uint64, subjects (clips,) of int

    The bits are divided into `max_bits` + 1 parts. Two rows that differ in at most `max_bits` bits have at least one part in
    common, so that only rows with a common part are compared. The bits of a part come from all over the pictures, because
    neighbouring cells are often alike.
    """
    import numpy as np

    width = bits.shape[1] * 64
    order_of_bits = np.random.Generator(np.random.PCG64(0)).permutation(width)
    single_bits = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=1)
    # with many parts each would be too short to tell rows apart: then all rows share one empty part
    parts = np.array_split(order_of_bits, max_bits + 1) if max_bits < width // 16 else [order_of_bits[:0]]
    found = []
    for part in parts:
        key = np.packbits(single_bits[:, part], axis=1) if len(part) else np.zeros((len(bits), 1), np.uint8)
        key = np.ascontiguousarray(key).view([("", key.dtype)] * key.shape[1]).ravel()
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], key[order][1:] != key[order][:-1]]))
        mixed = np.minimum.reduceat(subjects[order], starts) != np.maximum.reduceat(subjects[order], starts)
        ends = np.append(starts[1:], len(order))
        found += [_compare_rows(order[a:b], bits, subjects, max_bits) for a, b in zip(starts[mixed], ends[mixed], strict=True)]
    pairs = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *found]), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _compare_rows(rows: np.ndarray, bits: np.ndarray, subjects: np.ndarray, max_bits: int) -> np.ndarray:
    """The pairs of `_find_close_rows` among `rows`, which ascend. It compares blocks, so that memory does not grow with rows."""
    import numpy as np

    pairs = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(rows), CLIPS_PER_BLOCK):
        block = rows[start : start + CLIPS_PER_BLOCK]
        for other_start in range(start, len(rows), CLIPS_PER_BLOCK):
            other = rows[other_start : other_start + CLIPS_PER_BLOCK]
            close = (subjects[block, None] != subjects[None, other]) & (block[:, None] < other[None])
            close &= _hamming_distances(bits[block], bits[other]) <= max_bits
            i, k = np.nonzero(close)
            pairs.append(np.stack([block[i], other[k]], axis=1))
    return np.concatenate(pairs)


def _hamming_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many bits differ between each row of a and each row of b: (n, words) and (m, words) of uint64 -> (n, m)."""
    import numpy as np

    distances = np.zeros((len(a), len(b)), np.uint16)
    for word in range(a.shape[1]):
        distances += np.bitwise_count(a[:, word, None] ^ b[None, :, word])
    return distances
