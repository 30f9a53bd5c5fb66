"""Probes a source: its grid (frame rate, size, number of frames), its sound, its duration, and what there is to tell about it.

streams.py chooses the tracks. All that is guessed or left out goes into the fact `notices`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deemo_data.clip import Facts, Grid, Join, find_frame_rate, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media import sound, streams
from deemo_data.media.clock import MAX_TAIL_S, ClockError, ClockReader, JoinedClock, Stamp, date_early_sound, join_recordings
from deemo_data.media.container import (
    SEEKABLE_FORMATS,
    check_single_recording,
    decode_frames,
    find_video_stream,
    open_container,
    read_packets,
    read_time,
)
from deemo_data.media.filters import survey_pictures
from deemo_data.media.frames import parse_display_matrix, read_display_matrix
from deemo_data.media.limits import MAX_FRAMES, MAX_STILL_S, check_frame_count, check_frame_times, check_picture_size
from deemo_data.media.streams import NO_WISH, TrackWish
from deemo_data.notices import Notice

if TYPE_CHECKING:
    import av

GAPS_ARE_JOINS_FORMATS = ("mpegts", "mpeg")  # their clocks may jump forward, as ffmpeg knows (AVFMT_TS_DISCONT)
MAX_REORDERED = 16  # pictures that are coded before one that is shown before them
KEY_LOOK_S = 1  # at least, between the key frames whose size is looked at
MAX_KEY_LOOKS = 60
NO_SOUND: Facts = {"tracks": [], "mix": "mean", "gain_db": 0.0}


def probe_video(path: Path, vfr_fps: int = 30, wish: TrackWish = NO_WISH) -> Facts:
    """The facts of a source: {"grid", "has_sound", "sound", "duration_ms", "notices"}.

    vfr_fps  frame rate of the grid when the source has no constant one
    wish     the tracks that the table of sources asks for
    Decodes some key frames to learn the upright size and the sound to learn its level, and reads the time stamps of all
    frames: from the packets where the container can seek, otherwise by decoding. Raises MediaError with the true reason when
    there is no video that we can read, or no track that was wished.
    """
    track, notices = streams.choose_picture_track(path, wish)
    heard, about_sound = _choose_sound(path, wish)
    packets, seen = _read_packets(path, track, heard["tracks"])
    with open_container(path) as container:
        kind = container.format.name
        check_single_recording(path, kind, packets.reached)
        joined = _join_recordings(path, packets, kind in GAPS_ARE_JOINS_FORMATS)
        times = packets.list_times(joined.joins)
        claimed = times[:1]
        if not times or packets.untimed[1] or not kind.startswith(SEEKABLE_FORMATS):
            stream = find_video_stream(container, path, track)
            pixel, matrix = stream.sample_aspect_ratio, None
            start, times, seen = times[0] if times else Fraction(0), [], []
            for time, frame in islice(decode_frames(container, stream, joined.joins, start), MAX_FRAMES + 1):
                matrix = read_display_matrix(frame, matrix)
                seen.append(SeenFrame.of(time, frame, pixel, matrix))
                times.append(time)
    if not times:
        raise MediaError(f"{path.name}: not one frame of the video can be decoded")
    check_frame_times(path.name, times)
    zero, fps, vfr = times[0], *find_frame_rate(times, vfr_fps)
    frames = len(times) if not vfr else math.ceil((times[-1] - zero) * fps - Fraction(1, 2)) + 1
    still, about_end = _find_still(times[-1], fps, packets.last_duration, joined.sound_end)
    check_frame_count(path.name, frames + still)
    size, about_size = _find_size(path, seen)
    look = survey_pictures(path, track)
    grid = Grid(fps, vfr, zero, frames + still, *size, track, still, joined.joins, look.white, look.fields)
    notices += [*about_sound, *about_size, *look.notices, *_tell_clock(joined, zero)]
    notices += [*_tell_beginning(claimed, seen[0].time, zero, packets), *about_end]
    return {
        "grid": grid.to_fact(), "has_sound": bool(heard["tracks"]), "sound": heard, "duration_ms": grid.ms_at(frames + still),
        "notices": [n.to_fact() for n in notices],
    }  # fmt: skip


class SeenFrame(NamedTuple):
    """One decoded frame: its time in seconds, its upright size in square pixels, and whether it lies at an odd angle."""

    time: Fraction | None
    size: tuple[int, int]
    tilted: bool

    @classmethod
    def of(cls, time: Fraction | None, frame: av.VideoFrame, pixel: Fraction | None, matrix: bytes | None) -> SeenFrame:
        orientation = parse_display_matrix(matrix)
        width = round_half_up(frame.width * (pixel or Fraction(1)))
        size = (width, frame.height) if (orientation or (0, False))[0] % 2 == 0 else (frame.height, width)
        return cls(time, (size[0] & ~1, size[1] & ~1), orientation is None)


class Packets:
    """What the packets of the chosen tracks say, in one pass over the file.

    stream         index of the stream of pictures
    step           seconds from one picture to the next, as the file claims
    clock, sounds  the clock of the pictures; {index of the stream: clock} of the sound
    stamps         (number of the packet in its stream, time in ticks) of each picture that has a time
    reached        first byte of the last packet that says where it lies
    untimed        how many pictures without a time come before the first that has one, or are coded close behind it (they
                   are shown before it), and how many later
    last_duration  how long the latest picture is shown, in seconds, as the file claims
    has_late_track a track begins so late in the file that it was not there when it was opened: nothing reads it
    """

    def __init__(self, stream: Any, sounds: Sequence[Any]) -> None:
        self.stream, self.tick = stream.index, stream.time_base or Fraction(1)
        self.step = 1 / (stream.average_rate or Fraction(25))
        self.clock, self.sounds = ClockReader(self.tick), {s.index: ClockReader(s.time_base or Fraction(1)) for s in sounds}
        self.stamps: list[tuple[int, int]] = []
        self.untimed = [0, 0]
        self._latest, self._duration = -(2**63), 0
        self._count = self.reached = 0
        self.has_late_track = False

    def take(self, packet: av.Packet) -> None:
        """The next packet of one of the chosen tracks."""
        self._count, self.reached = self._count + 1, max(self.reached, packet.pos or 0)
        duration = packet.duration or 0
        clock = packet.pts if packet.dts is None and packet.stream_index in self.sounds else packet.dts
        reader = self.sounds.get(packet.stream_index, self.clock)
        reader.take(Stamp(self._count, clock, packet.pts, duration))
        if reader is not self.clock:
            return
        if packet.pts is None:
            self.untimed[len(self.stamps) > MAX_REORDERED] += 1
            return
        self.stamps.append((reader.count - 1, packet.pts))
        if packet.pts > self._latest or clock is None:
            self._latest, self._duration = packet.pts, duration

    def note_late_track(self) -> None:
        self.has_late_track = True

    @property
    def last_duration(self) -> Fraction:
        return self._duration * self.tick

    def list_times(self, joins: Sequence[Join]) -> list[Fraction]:
        """When the pictures are shown, in ascending order, in seconds on the joined clock; empty when no picture has a time.

        Pictures without a time at the beginning come before the others: a copy that was cut before zero has such.
        """
        own = [j for j in joins if j.stream == self.stream]
        times = []
        for packet, time in self.stamps:
            passed = [j for j in own if j.packet <= packet]
            times.append(time * self.tick + (passed[-1].shift if passed else 0))
        times.sort()
        return [times[0] - self.step * n for n in range(self.untimed[0], 0, -1)] + times if times else []


def _choose_sound(path: Path, wish: TrackWish) -> tuple[Facts, list[Notice]]:
    """The fact `sound`, and what there is to tell about it."""
    measured = {n: sound.measure_track(path, n, wish.mix) for n in streams.list_sound_tracks(path, wish)}
    levels = {n: m.level_db for n, m in measured.items() if not m.is_unreadable}
    index, notices = streams.choose_sound_track(path, wish, levels)
    if index is None:
        return NO_SOUND, notices
    fact, about_level = sound.describe_sound(index, measured[index])
    return fact, [*notices, *about_level]


def _read_packets(path: Path, track: int, sound_tracks: Sequence[int]) -> tuple[Packets, list[SeenFrame]]:
    """Read the packets of the chosen tracks, and decode the first frame and some key frames.

    The clock of the frames is that of the file. Raises MediaError when no frame can be decoded.
    """
    with open_container(path) as container:
        stream = find_video_stream(container, path, track)
        pixel = stream.sample_aspect_ratio
        if stream.codec_context.width:  # a stream that appears late has no size yet
            check_picture_size(path.name, stream.codec_context.width, stream.codec_context.height)
        frame = next((f for _, f in decode_frames(container, stream)), None)
    if frame is None:
        raise MediaError(f"{path.name}: not one frame of the video can be decoded")
    matrix = read_display_matrix(frame, None)
    first = SeenFrame.of(read_time(frame), frame, pixel, matrix)
    keys: list[av.Packet] = []
    with open_container(path) as container:
        stream = find_video_stream(container, path, track)
        heard = [container.streams.audio[n] for n in sound_tracks]
        packets = Packets(stream, heard)
        apart = max(Fraction(KEY_LOOK_S), Fraction(container.duration or 0, 1_000_000 * MAX_KEY_LOOKS)) / packets.tick
        for packet in read_packets(container, stream, *heard, if_late=packets.note_late_track):
            packets.take(packet)
            if len(packets.stamps) > MAX_FRAMES:
                break
            is_key = packet.stream_index == stream.index and packet.is_keyframe and packet.pts is not None
            may_keep = is_key and len(keys) <= MAX_KEY_LOOKS  # the length that a file claims may be wrong, or missing
            if may_keep and (not keys or abs((packet.pts or 0) - (keys[-1].pts or 0)) >= apart):
                keys.append(packet)
        later = _decode_keys(stream.codec_context, keys[1 : MAX_KEY_LOOKS + 1])
        seen = [first, *(SeenFrame.of(None, f, pixel, read_display_matrix(f, matrix)) for f in later)]
    return packets, seen


def _decode_keys(context: Any, keys: Sequence[av.Packet]) -> Iterator[av.VideoFrame]:
    """The pictures of key frames; those that cannot be decoded are left out."""
    import av

    for packet in [*keys, None]:
        with suppress(av.error.FFmpegError):
            yield from context.decode(packet)


def _join_recordings(path: Path, packets: Packets, gaps_are_joins: bool) -> JoinedClock:
    sounds = {n: reader.stretches for n, reader in packets.sounds.items()}
    dated: tuple[Join, ...] = ()
    if packets.untimed[0]:
        dated = tuple(join for n, track in sounds.items() for join in date_early_sound(n, track))
        sounds = {n: track[1:] if any(j.stream == n for j in dated) else track for n, track in sounds.items()}
    try:
        joined = join_recordings((packets.stream, packets.clock.stretches), sounds, gaps_are_joins)
        return replace(joined, joins=dated + joined.joins)
    except ClockError as e:
        raise MediaError(f"{path.name}: {e}", "Make it anew with ffmpeg, or cut it where one recording ends") from e


def _find_size(path: Path, seen: Sequence[SeenFrame]) -> tuple[tuple[int, int], list[Notice]]:
    """The size of the grid, and what there is to tell about sizes and angles: the largest that is not a rare exception."""
    counts = Counter(frame.size for frame in seen)
    common = [size for size, count in counts.items() if count * MAX_KEY_LOOKS >= len(seen) or size == seen[0].size]
    size = max(common, key=lambda s: s[0] * s[1])
    check_picture_size(path.name, *size)
    notices = []
    if len(counts) > 1:
        sizes = ", ".join(f"{w}x{h}" for w, h in counts)
        text = (
            f"its picture changes its size ({sizes}): all are brought to {size[0]}x{size[1]}, with bars where the shape differs"
        )
        notices.append(Notice("picture_size_changes", text))
    if any(frame.tilted for frame in seen):
        text = "it asks to be shown at an angle that is no quarter turn: it is shown as it lies"
        notices.append(Notice("picture_tilted", text))
    return size, notices


def _find_still(last: Fraction, fps: Fraction, duration: Fraction, sound_end: Fraction | None) -> tuple[int, list[Notice]]:
    """How many frames of the grid show the last picture again, and what there is to tell.

    last       when the last picture is shown, in seconds
    duration   how long, as the file claims
    sound_end  when the sound ends, in seconds; None without sound
    """
    ends = {"it lasts so long": last + duration, "the sound goes on": last if sound_end is None else sound_end}
    reason = max(ends, key=lambda name: ends[name])
    longer = ends[reason] - last - 1 / fps
    if longer <= MAX_TAIL_S:
        return 0, []
    kept = min(longer, Fraction(MAX_STILL_S))
    text = f"the last picture is shown for {float(kept):.1f} s more, because {reason}"
    if kept < longer:
        text += f"; the {float(longer - kept):.0f} s after that are left out"
    return round_half_up(kept * fps), [Notice("last_picture_lasts", text)]


def _tell_clock(joined: JoinedClock, zero: Fraction) -> list[Notice]:
    if not joined.times:
        return []
    places = ", ".join(f"{float(t - zero):.1f} s" for t in joined.times[:3]) + (" …" if len(joined.times) > 3 else "")
    text = f"its clock begins anew at {places}: {len(joined.times) + 1} recordings are put one after the other"
    return [Notice("recordings_joined", text)]


def _tell_beginning(claimed: Sequence[Fraction], seen: Fraction | None, zero: Fraction, packets: Packets) -> list[Notice]:
    """What there is to tell about first pictures that cannot be decoded, and sound before the first picture.

    claimed  when the first picture is due, as the file says; empty when it does not say
    seen     when the first one is due that can be decoded
    zero     the beginning of the grid
    """
    notices = []
    begin = min([*claimed, zero])
    broken = (zero if seen is None else seen) - begin
    if broken > packets.step * Fraction(3, 2):
        text = f"the pictures of the first {float(broken):.1f} s cannot be decoded: "
        text += "the first one that can be is shown instead" if zero == begin else "they are left out"
        notices.append(Notice("first_pictures_broken", text))
    begins = [reader.stretches[0].first for reader in packets.sounds.values() if reader.stretches]
    early = zero - min(begins, default=zero)
    if early > MAX_TAIL_S:
        notices.append(Notice("sound_before_picture", f"{float(early):.1f} s of sound before the first picture are left out"))
    if packets.has_late_track:
        text = "a track that begins only later in the file is left out: a second recording, sound that starts late, or subtitles"
        notices.append(Notice("late_track_left_out", text))
    return notices
