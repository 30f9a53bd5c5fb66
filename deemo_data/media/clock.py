"""Finds where the clock of a source begins anew, and puts the recordings in such a file one after the other.

Cameras and users join recordings end to end, byte by byte. Each goes on counting from its own zero, so that the time stamps of
the file jump back, or far forward. Pure: packets as numbers in, shifts out. media/probe.py reads the packets, and the readers
apply the shifts (`Grid.joins`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from deemo_data.clip import Join

BACK_S = Fraction(1, 2)  # a clock that goes back further begins anew; less is a muxer's disorder
FORWARD_S = Fraction(10)  # the same, forward, as ffmpeg counts it (dts_delta_threshold)
MAX_TAIL_S = Fraction(1, 2)  # sound may outlast the picture by this much, as it does in ordinary footage
MAX_JOINS = 1000


class ClockError(ValueError):
    """The clocks of pictures and sound contradict each other; the text says how, as a clause."""


class Stamp(NamedTuple):
    """One packet: its place among the packets of all streams, when it is decoded and when it is shown, and for how long.

    Times are in ticks of its stream.
    """

    position: int
    clock: int | None
    time: int | None
    duration: int = 0


@dataclass(frozen=True)
class Stretch:
    """The packets of one stream over which its clock runs on. Times in seconds.

    packet                   its first packet, counted from 0 among those of the stream
    before, position, until  places of the packet before it, of its first and of its last packet in the file
    begin, now               its clock at the first packet and at the last
    first, last, end         when its earliest packet is shown, its latest packet, and when that ends
    count                    number of packets
    """

    packet: int
    before: int
    position: int
    until: int
    begin: Fraction
    now: Fraction
    first: Fraction
    last: Fraction
    end: Fraction
    count: int

    @property
    def step(self) -> Fraction:
        """The mean time from one packet to the next."""
        if self.count > 1 and self.last > self.first:
            return (self.last - self.first) / (self.count - 1)
        return self.end - self.last or Fraction(1, 25)


class ClockReader:
    """Takes the packets of one stream in the order of the file, and splits them where the clock jumps.

    A single packet off the clock has a damaged stamp: its time does not count. It counts in whole ticks, because films are long.
    """

    def __init__(self, tick: Fraction) -> None:
        self.tick = tick
        self.back, self.forward = -math.floor(BACK_S / tick), math.ceil(FORWARD_S / tick)
        self.count = 0
        self._runs: list[_Run] = []
        self._held: Stamp | None = None  # off the clock; the next packet says whether a new one begins with it

    def take(self, stamp: Stamp) -> None:
        """The next packet of the stream."""
        self.count += 1
        if not self._runs:
            if stamp.clock is not None:
                self._runs.append(_Run(stamp, self.count - 1, -1, stamp.clock))
            return
        run, clock = self._runs[-1], stamp.clock
        begins = clock is not None and self._held is not None and self._follows(self._held.clock, clock)
        if clock is None or (self._follows(run.now, clock) and not (begins and clock < run.now)):
            run.take(stamp)
        elif begins and self._held is not None:
            if run.count == 1:
                self._runs.pop()  # it was the packet before that was off the clock
            self._runs.append(_Run(self._held, self.count - 2, run.until if self._runs else -1, self._held.clock or 0))
            self._runs[-1].take(stamp)
        elif run.now_before is not None and 0 <= clock - run.now_before <= self.forward:
            run.drop_last()
            run.take(stamp)
        else:
            self._held = stamp
            return
        self._held = None

    def _follows(self, clock: int | None, after: int) -> bool:
        return clock is not None and self.back <= after - clock <= self.forward

    @property
    def stretches(self) -> list[Stretch]:
        """What was taken so far."""
        return [run.to_stretch(self.tick) for run in self._runs]


class _Run:
    """A stretch in the making, in ticks. Its last packet is counted when the next one has confirmed it."""

    def __init__(self, stamp: Stamp, packet: int, before: int, clock: int) -> None:
        self.packet = packet
        self.before, self.position, self.until, self.count = before, stamp.position, stamp.position, 1
        self.begin = self.now = clock
        self.now_before: int | None = None
        time = clock if stamp.time is None else stamp.time
        self.first, self.last, self.end = time, time, time + stamp.duration
        self._waiting: Stamp | None = None

    def take(self, stamp: Stamp) -> None:
        self._count_waiting()
        self._waiting = stamp
        self.until, self.count = stamp.position, self.count + 1
        if stamp.clock is not None:
            self.now_before, self.now = self.now, stamp.clock

    def drop_last(self) -> None:
        """The last packet was off the clock: its time does not count."""
        self._waiting = None
        self.now = self.now_before if self.now_before is not None else self.now

    def _count_waiting(self) -> None:
        if self._waiting is not None and self._waiting.time is not None:
            time = self._waiting.time
            self.first, self.last = min(self.first, time), max(self.last, time)
            self.end = max(self.end, time + self._waiting.duration)
        self._waiting = None

    def to_stretch(self, tick: Fraction) -> Stretch:
        self._count_waiting()
        return Stretch(
            self.packet, self.before, self.position, self.until, self.begin * tick, self.now * tick, self.first * tick,
            self.last * tick, self.end * tick, self.count,
        )  # fmt: skip


def split_by_clock(stamps: Iterable[Stamp], tick: Fraction) -> list[Stretch]:
    """The stretches of one stream with `tick` seconds a tick; see `ClockReader`."""
    reader = ClockReader(tick)
    for stamp in stamps:
        reader.take(stamp)
    return reader.stretches


@dataclass(frozen=True)
class JoinedClock:
    """How the recordings in a file follow each other.

    joins      what `Grid.joins` holds
    times      when each recording but the first begins, on the joined clock, in seconds
    sound_end  when the sound ends on the joined clock; None without sound
    """

    joins: tuple[Join, ...]
    times: tuple[Fraction, ...]
    sound_end: Fraction | None


def join_recordings(
    pictures: tuple[int, Sequence[Stretch]], sounds: Mapping[int, Sequence[Stretch]], gaps_are_joins: bool
) -> JoinedClock:
    """Put each recording of a file behind the one before.

    pictures        (index of the stream, its stretches)
    sounds          {index of the stream: its stretches}; the streams may be empty
    gaps_are_joins  in this kind of file a clock that jumps forward in all streams means another recording, not a pause

    The first picture of a recording follows the last one before it at the distance of pictures. Where the sound before it
    goes on for more than half a second after the picture, the recording begins when that sound ends.
    Raises ClockError when the clock of one stream begins anew and that of another goes on.
    """
    stream, stretches = pictures
    places = [_find_places(stretches[k - 1 : k + 1], sounds, gaps_are_joins) for k in range(1, len(stretches))]
    matched = {(n, k) for place in places if place is not None for n, k in place.items()}
    for n, track in sounds.items():
        for k in range(1, len(track)):
            if (n, k) not in matched and track[k].begin < track[k - 1].now:
                back = _seconds(track[k - 1].now - track[k].begin)
                raise ClockError(f"the clock of the sound goes back by {back} s and that of the pictures does not")
    joins: list[Join] = []
    times: list[Fraction] = []
    sound_ends: list[Fraction] = []
    shift, heard = Fraction(0), dict.fromkeys(sounds, 0)
    for k, place in enumerate(places, 1):
        if place is None:
            continue
        sound_ends = [s.end + shift for n, end in place.items() for s in sounds[n][heard[n] : end]]
        due = stretches[k - 1].last + stretches[k - 1].step + shift
        moved = due - stretches[k].first
        late = max((max(sound_ends) - sounds[n][i].first for n, i in place.items()), default=moved) if sound_ends else moved
        if late > moved + MAX_TAIL_S:
            moved += math.ceil((late - moved) / stretches[k].step) * stretches[k].step
        shift = moved
        joins += [Join(stream, stretches[k].packet, shift), *(Join(n, sounds[n][i].packet, shift) for n, i in place.items())]
        times.append(stretches[k].first + shift)
        heard |= place
    if len(times) > MAX_JOINS:
        raise ClockError(f"its clock begins anew {len(times)} times")
    last = stretches[-1].last if stretches else Fraction(0)
    ends = [s.end + shift for n, track in sounds.items() for s in track[heard[n] :] if s.first <= last + FORWARD_S]
    return JoinedClock(tuple(joins), tuple(times), max(ends, default=None))


def date_early_sound(stream: int, track: Sequence[Stretch]) -> tuple[Join, ...]:
    """What brings sound before zero back there, in a file that cannot say so; nothing where there is none.

    Matroska has no time stamps before zero. FFmpeg then counts such sound from zero on, and once more from the first stamp.
    """
    if len(track) < 2 or track[1].begin >= track[0].now:
        return ()
    return Join(stream, 0, track[1].first - track[0].end), Join(stream, track[1].packet, Fraction(0))


def _find_places(pair: Sequence[Stretch], sounds: Mapping[int, Sequence[Stretch]], gaps_are_joins: bool) -> dict[int, int] | None:
    """Where the sounds break together with the pictures: {stream: index of the stretch that begins}. None: it is no join."""
    before, after = pair
    back = after.begin < before.now
    place: dict[int, int] = {}
    for n, track in sounds.items():
        alike = [k for k in range(1, len(track)) if (track[k].begin < track[k - 1].now) == back]
        near = [k for k in alike if _meet(pair, track[k - 1 : k + 1])]
        if near:
            place[n] = min(near, key=lambda k: abs(track[k].position - after.position))
        elif any(s.position < after.position and s.until > after.position for s in track):
            if back:
                by = _seconds(before.now - after.begin)
                raise ClockError(f"the clock of the pictures goes back by {by} s and that of the sound does not")
            return None
    return place if back or gaps_are_joins else None


def _meet(one: Sequence[Stretch], other: Sequence[Stretch]) -> bool:
    """Whether two streams break at one place of the file. They may be interleaved up to a second apart."""
    (a, b), (c, d) = one, other
    if b.before <= d.position and d.before <= b.position:
        return True
    return abs((b.begin - a.now) - (d.begin - c.now)) < 2 and c.position < b.position and a.position < d.position


def _seconds(span: Fraction) -> str:
    return f"{float(span):.1f}"
