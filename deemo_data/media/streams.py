"""Decides which picture track and which sound track of a source are used, and says why. No other module chooses a stream.

Cameras, screen recorders and editing programs write several tracks into one file: the screen beside the camera, the microphone
of the camera beside the one on the lapel, dubs and commentaries. One of each kind is used. The table of sources may name it by
its number, which counts from 1 among the tracks of that kind in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.errors import MediaError
from deemo_data.media.container import (
    SEEKABLE_FORMATS,
    decode_frames,
    find_video_stream,
    list_picture_tracks,
    open_container,
    read_packets,
    seek_before,
)
from deemo_data.media.levels import SILENCE_DB
from deemo_data.notices import Notice

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

SAME_LEVEL_DB = 3.0  # tracks nearer than this are equally loud
FLAG_DB = 20.0  # a flag as default counts for as much
LOOKS = 8  # places at which a picture track is looked at
LOOK_S = Fraction(2, 5)  # between the two pictures of one look
LOOK_FRAMES = 1500  # the most frames that are decoded of a track in which no seek is possible
CHANGE_LEVELS = 8  # of 255: a cell of the small picture changed
CHANGE_CELLS = 5  # of 64 x 36: the picture changed


@dataclass(frozen=True)
class TrackWish:
    """Which tracks the table of sources asks for.

    video_track, audio_track  counted from 1; None leaves the choice to deemo
    mix                       the cell `mix` as it stands in the table; "" leaves the choice to deemo
    """

    video_track: int | None = None
    audio_track: int | None = None
    mix: str = ""


NO_WISH = TrackWish()


@dataclass(frozen=True)
class PictureTrack:
    """What counts for the choice of a picture track.

    number   from 1
    size     width and height in pixels
    flagged  the file flags it as default
    motion   share of the looks in which the picture changed; None when it cannot be decoded
    alive    the picture changes at all
    """

    number: int
    size: tuple[int, int]
    flagged: bool
    motion: float | None
    alive: bool = True

    def __str__(self) -> str:
        if self.motion is None:
            return f"{self.number}: no decoder"
        moves = "moves" if self.motion >= 0.5 else "moves at times" if self.alive else "never changes"
        size = f"{self.size[0]}x{self.size[1]}, " if all(self.size) else ""
        return f"{self.number}: {size}{moves}" + (", default" if self.flagged else "")


@dataclass(frozen=True)
class SoundTrack:
    """What counts for the choice of a sound track.

    number    from 1
    flagged   the file flags it as default
    level_db  how loud it is, in dBFS; None when it cannot be decoded
    language  as tagged, "" when it is not
    aside     it is a commentary or a description for the blind
    """

    number: int
    flagged: bool
    level_db: float | None
    language: str = ""
    aside: bool = False

    def __str__(self) -> str:
        if self.level_db is None:
            return f"{self.number}: no decoder"
        level = f"{self.level_db:.0f} dB" if self.level_db > SILENCE_DB else "silent"
        words = [level, self.language, "default" if self.flagged else "", "commentary" if self.aside else ""]
        return f"{self.number}: {', '.join(filter(None, words))}"


def pick_picture_track(tracks: Sequence[PictureTrack]) -> PictureTrack | None:
    """The picture track to use. None when no track can be decoded.

    In this order: a track that changes at all; the one that alone is flagged as default although it is not the first (every
    program flags the first); one that moves most of the time; a flag as default; the largest; the first.
    """
    flagged = [t for t in tracks if t.flagged]

    def rank(track: PictureTrack) -> tuple[bool, bool, bool, bool, int, int]:
        chosen = flagged == [track] and track is not tracks[0]
        steady = (track.motion or 0) >= 0.5
        return track.alive, chosen, steady, track.flagged, track.size[0] * track.size[1], -track.number

    return max((t for t in tracks if t.motion is not None), key=rank, default=None)


def pick_sound_track(tracks: Sequence[SoundTrack]) -> SoundTrack | None:
    """The sound track to use. None when no track can be decoded.

    Left out, if others remain: silent tracks, then commentaries, then other languages than that of the first track (or of the
    one that alone is flagged as default). Of the rest, the one that alone is flagged as default although it is not the first
    is taken, unless another is 20 dB louder. Otherwise the loudest is taken; among equally loud ones, the first.
    """
    left = [t for t in tracks if t.level_db is not None]
    left = [t for t in left if t.level_db is not None and t.level_db > SILENCE_DB] or left
    left = [t for t in left if not t.aside] or left
    if not left:
        return None
    flagged = [t for t in tracks if t.flagged]
    alone = flagged[0] if len(flagged) == 1 and flagged[0] in left else None
    language = (alone or left[0]).language
    left = [t for t in left if not language or t.language in ("", language)]
    loudest = max(t.level_db or 0 for t in left)
    if alone and alone is not tracks[0] and (alone.level_db or 0) >= loudest - FLAG_DB:
        return alone
    return next(t for t in left if (t.level_db or 0) >= loudest - SAME_LEVEL_DB)


def choose_picture_track(path: Path, wish: TrackWish) -> tuple[int, list[Notice]]:
    """(index of the picture track to use, what there is to tell). The index counts from 0 among the picture tracks.

    Raises MediaError when there is no track of that number, or none that can be decoded.
    """
    with open_container(path) as container:
        streams = list_picture_tracks(container)
        decodable = [s.codec_context is not None for s in streams]
        flagged = [bool(s.disposition & s.disposition.default) for s in streams]
        if len(streams) < 2 and wish.video_track is None:
            find_video_stream(container, path)  # raises the reason when there is none
            return 0, []
    if wish.video_track is not None:
        return _check_number(path, "picture", "video_track", wish.video_track, len(streams)), []
    tracks = [
        _look_at(path, n, flagged[n]) if ok else PictureTrack(n + 1, (0, 0), flagged[n], None, alive=False)
        for n, ok in enumerate(decodable)
    ]
    chosen = pick_picture_track(tracks)
    if chosen is None:
        raise MediaError(f"{path.name}: none of its {len(tracks)} picture tracks can be decoded")
    _check_side_by_side(path, chosen.number - 1, [t.number - 1 for t in tracks if t.alive])
    return chosen.number - 1, [_tell_choice("picture", "video_track", chosen.number, tracks)]


def list_sound_tracks(path: Path, wish: TrackWish) -> list[int]:
    """The indices of the sound tracks that may be used: the wished one, otherwise all that have a decoder.

    Raises MediaError when the wished one is not there or has no decoder.
    """
    with open_container(path) as container:
        decodable = [s.codec_context is not None for s in container.streams.audio]
    if wish.audio_track is None:
        return [n for n, ok in enumerate(decodable) if ok]
    index = _check_number(path, "sound", "audio_track", wish.audio_track, len(decodable))
    if not decodable[index]:
        raise MediaError(f"{path.name}: its sound track {index + 1} has no decoder here", "Give another audio_track")
    return [index]


def choose_sound_track(path: Path, wish: TrackWish, levels: dict[int, float]) -> tuple[int | None, list[Notice]]:
    """(index of the sound track to use, what there is to tell). The index is None when there is no sound that can be decoded.

    levels  {index: dBFS} of the tracks of `list_sound_tracks` that could be decoded
    """
    with open_container(path) as container:
        tracks = [_describe_sound_track(s, n, levels.get(n)) for n, s in enumerate(container.streams.audio)]
    if wish.audio_track is not None:
        return wish.audio_track - 1, []
    chosen = pick_sound_track(tracks)
    if chosen is not None:
        return chosen.number - 1, [_tell_choice("sound", "audio_track", chosen.number, tracks)] if len(tracks) > 1 else []
    if not tracks:
        return None, []
    many = f"none of its {len(tracks)} sound tracks" if len(tracks) > 1 else "its sound track cannot be decoded here"
    text = f"the source counts as silent: {many}" + (" can be decoded here" if len(tracks) > 1 else "")
    return None, [Notice("sound_not_decodable", text)]


def _check_side_by_side(path: Path, chosen: int, others: Sequence[int]) -> None:
    """Raise MediaError if another picture track lies wholly before or behind the chosen one: then it is another recording."""
    spans: dict[int, list[int]] = {}  # {index of the track: first bytes of its first and last packet}
    with open_container(path) as container:
        streams = [s.index for s in list_picture_tracks(container)]
        tracks = {streams[n]: n for n in {chosen, *others}}
        for packet in read_packets(container, *(container.streams[i] for i in tracks)):
            if packet.pos is not None:
                spans.setdefault(tracks[packet.stream_index], [packet.pos, packet.pos])[1] = packet.pos
    begin, end = spans.get(chosen, (0, 0))
    if behind := [n for n, (first, last) in spans.items() if n != chosen and (first > end or last < begin)]:
        what = f"{path.name} holds {len(behind) + 1} recordings one after the other, each on a track of its own"
        raise MediaError(what, "Take the recordings as files of their own, or choose one with video_track and audio_track")


def _check_number(path: Path, kind: str, column: str, number: int, count: int) -> int:
    if not 1 <= number <= count:
        tracks = f"{count} {kind} track" + ("" if count == 1 else "s")
        advice = f"Give {column} a number from 1 to {count}" if count else f"Leave {column} empty"
        raise MediaError(f"{path.name} has {tracks}, and {column} is {number}", advice)
    return number - 1


def _tell_choice(kind: str, column: str, number: int, tracks: Sequence[PictureTrack] | Sequence[SoundTrack]) -> Notice:
    listed = "; ".join(map(str, tracks))
    text = f"{kind} track {number} of {len(tracks)} is used ({listed}); {column} in a CSV of sources takes another"
    return Notice(f"{kind}_track_chosen", text)


def _describe_sound_track(stream: Any, index: int, level_db: float | None) -> SoundTrack:
    flags = stream.disposition
    language = "" if stream.language in (None, "und") else stream.language
    aside = bool(flags & (flags.comment | flags.visual_impaired | flags.descriptions))
    return SoundTrack(index + 1, bool(flags & flags.default), level_db, language, aside)


def _look_at(path: Path, index: int, flagged: bool) -> PictureTrack:
    """A picture track as it looks at several places."""
    with open_container(path) as container:
        context = find_video_stream(container, path, index).codec_context
        size = context.width, context.height
    try:
        looks = _take_looks(path, index)
    except MediaError:  # damaged beyond use: another track is chosen, and the notice says that this one has no pictures
        looks = []
    if not looks:
        return PictureTrack(index + 1, size, flagged, None, alive=False)
    alive = any(_is_change(looks[0][0], picture) for look in looks for picture in look)
    return PictureTrack(index + 1, size, flagged, sum(_is_change(a, b) for a, b in looks) / len(looks), alive)


def _take_looks(path: Path, index: int) -> list[tuple[NDArray[np.int16], NDArray[np.int16]]]:
    """Pairs of small pictures, LOOK_S apart: spread over the film where a seek is possible, otherwise from its beginning."""
    looks: list[tuple[NDArray[np.int16], NDArray[np.int16]]] = []
    with open_container(path) as container:
        stream = find_video_stream(container, path, index)
        if not container.format.name.startswith(SEEKABLE_FORMATS) or not container.duration:
            return list(_pair_pictures(container, stream, LOOK_FRAMES, LOOK_FRAMES))
        begin, length = Fraction(container.start_time or 0, 1_000_000), Fraction(container.duration, 1_000_000)
    for place in range(LOOKS):
        with open_container(path) as container:
            stream = find_video_stream(container, path, index)
            if place == 0 or seek_before(container, stream, begin + length * place / LOOKS):
                looks += _pair_pictures(container, stream, LOOK_FRAMES, 1)
    return looks


def _pair_pictures(
    container: av.container.InputContainer, stream: Any, frames: int, pairs: int
) -> Iterator[tuple[NDArray[np.int16], NDArray[np.int16]]]:
    """Up to `pairs` pairs among the next `frames` frames. A film that ends at once gives its first and last picture."""
    first = last = None
    since = Fraction(0)
    given = 0
    for time, frame in islice(decode_frames(container, stream), frames):
        if first is None:
            first, since = _shrink(frame), time
        last = frame
        if time >= since + LOOK_S:
            yield first, _shrink(frame)
            first, last, given = None, None, given + 1
            if given == pairs:
                return
    if first is not None and last is not None and not given:
        yield first, _shrink(last)


def _shrink(frame: av.VideoFrame) -> NDArray[np.int16]:
    return frame.reformat(64, 36, "gray").to_ndarray().astype("int16")


def _is_change(one: NDArray[np.int16], other: NDArray[np.int16]) -> bool:
    return int((abs(one - other) > CHANGE_LEVELS).sum()) >= CHANGE_CELLS
