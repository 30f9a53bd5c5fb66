"""Harm done to media files: plain functions of (bytes, a seeded random.Random) -> bytes, and the files to do it to.

Half of them do not know what they harm (bits, blocks, ends); the others know the boxes of mp4 and mov, the elements of
Matroska, the chunks of avi, and the time stamps of MPEG streams, and say absurd things there.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

Harm = Callable[[bytes, Random], bytes]

SEED = 20261124
ABSURD = (0, 1, 2, 7, 255, 0x7FFF, 0xFFFF, 100_000, 10**9, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
ENCODED = {  # ending: what ffmpeg makes of two seconds of a talker
    "mp4": "-c:v libx264 -bf 2 -c:a aac",
    "mkv": "-c:v libx264 -bf 2 -c:a libvorbis",
    "mov": "-c:v libx264 -bf 0 -c:a pcm_f32le",
    "avi": "-c:v mpeg4 -c:a libmp3lame",
    "mpg": "-c:v mpeg1video -c:a mp2",
    "ts": "-c:v libx264 -bf 2 -c:a aac -f mpegts",
}
EXACT = "-g 12 -threads 1 -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact"


def bases(
    folder: Path, video: Path, ffmpeg: str, *, start: float = 3, seconds: float = 1.6, width: int = 192
) -> dict[str, bytes]:
    """{ending: a small file with picture and sound}, cut from `video` and encoded for each container."""
    made = {}
    for ending, how in ENCODED.items():
        path = folder / f"base.{ending}"
        shape = f"-ac 1 -ar 44100 -r 25 -vf scale={width}:-2 -pix_fmt yuv420p"
        command = f"{ffmpeg} -v error -nostdin -y -ss {start} -t {seconds} -i {video} {shape} {how} {EXACT} {path}".split()
        subprocess.run(command, check=True)
        made[ending] = path.read_bytes()
    return made


# ── harm that does not know what it harms ────────────────────────────────────────────────────────────────────


def _place(data: bytes, rng: Random, longest: int) -> tuple[int, int]:
    """A stretch in the header, the middle or the tail: [begin, end)."""
    size = len(data)
    low, high = rng.choice([(0, min(size, 2048)), (0, size), (max(0, size - 4096), size)])
    begin = rng.randrange(low, high)
    return begin, min(size, begin + rng.randint(1, longest))


def flipped(data: bytes, rng: Random) -> bytes:
    harmed = bytearray(data)
    begin, end = _place(data, rng, 4096)
    for _ in range(rng.choice((1, 3, 20, 200))):
        harmed[rng.randrange(begin, end)] ^= 1 << rng.randrange(8)
    return bytes(harmed)


def zeroed(data: bytes, rng: Random) -> bytes:
    begin, end = _place(data, rng, 4096)
    return data[:begin] + bytes(end - begin) + data[end:]


def noise(data: bytes, rng: Random) -> bytes:
    begin, end = _place(data, rng, 4096)
    return data[:begin] + rng.randbytes(end - begin) + data[end:]


def cut_out(data: bytes, rng: Random) -> bytes:
    begin, end = _place(data, rng, 8192)
    return data[:begin] + data[end:]


def doubled(data: bytes, rng: Random) -> bytes:
    begin, end = _place(data, rng, 8192)
    return data[:end] + data[begin:end] * rng.choice((1, 1, 30)) + data[end:]


def truncated(data: bytes, rng: Random) -> bytes:
    return data[: rng.choice((rng.randrange(1, 64), rng.randrange(1, len(data)), len(data) - rng.randrange(1, 64)))]


def swapped(data: bytes, rng: Random) -> bytes:
    size = rng.choice((1, 188, 512, 4096))
    a, b = sorted(rng.randrange(max(1, len(data) - size)) for _ in range(2))
    if b - a < size:
        return data[::-1] if b == a else data[:a] + data[b:] + data[a:b]
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def joined(data: bytes, rng: Random) -> bytes:
    """The file, and after it the file again, or noise: what a copying program that was broken off leaves."""
    return data + rng.choice((data, data[: len(data) // 3], rng.randbytes(3000), bytes(3000)))


BLIND: tuple[Harm, ...] = (flipped, zeroed, noise, cut_out, doubled, truncated, swapped, joined)


# ── mp4 and mov ──────────────────────────────────────────────────────────────────────────────────────────────

HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf"}


def boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where the box begins, where it ends) of a sound file, holders before what they hold."""
    end = len(data) if end is None else end
    while begin + 8 <= end:
        size, kind = struct.unpack(">I4s", data[begin : begin + 8])
        size = size if 8 <= size <= end - begin else end - begin
        yield kind, begin, begin + size
        if kind in HOLDERS:
            yield from boxes(data, begin + 8, begin + size)
        begin += size


def _box(data: bytes, rng: Random, *kinds: bytes) -> tuple[bytes, int, int] | None:
    found = [b for b in boxes(data) if not kinds or b[0] in kinds]
    return rng.choice(found) if found else None


def _put(data: bytes, at: int, layout: str, *values: float) -> bytes:
    told = struct.pack(layout, *values)
    return data[:at] + told + data[at + len(told) :]


def box_sizes(data: bytes, rng: Random) -> bytes:
    box = _box(data, rng)
    if box is None:
        return flipped(data, rng)
    _, begin, end = box
    if rng.random() < 0.3:  # a size of 64 bits
        return _put(_put(data, begin, ">I", 1), begin + 8, ">Q", rng.choice((0, 15, end - begin, 2**40, 2**63, 2**64 - 1)))
    return _put(data, begin, ">I", rng.choice((*ABSURD, end - begin - 1, end - begin + 1)))


def box_counts(data: bytes, rng: Random) -> bytes:
    kind, begin, _ = _box(data, rng, b"stts", b"stsz", b"stsc", b"stco", b"ctts", b"elst", b"stss", b"stsd") or (b"", 0, 0)
    return _put(data, begin + (16 if kind == b"stsz" else 12), ">I", rng.choice(ABSURD))


def box_tables(data: bytes, rng: Random) -> bytes:
    """Some entries of a table of sizes, times or places."""
    _, begin, end = _box(data, rng, b"stts", b"stsz", b"stsc", b"stco", b"ctts", b"stss") or (b"", 0, 64)
    for _ in range(rng.choice((1, 1, 4, 40))):
        at = rng.randrange(begin + 16, max(begin + 17, end - 3))
        data = _put(data, at - (at - begin) % 4, ">I", rng.choice((*ABSURD, rng.getrandbits(32))))
    return data


def box_durations(data: bytes, rng: Random) -> bytes:
    """Durations and time scales of mvhd, mdhd and tkhd."""
    kind, begin, _ = _box(data, rng, b"mvhd", b"mdhd", b"tkhd") or (b"", 0, 0)
    return _put(data, begin + (28 if kind == b"tkhd" else rng.choice((20, 24))), ">I", rng.choice(ABSURD))


def box_times(data: bytes, rng: Random) -> bytes:
    """How long frames are shown, and when: far away, not at all, backwards."""
    _, begin, end = _box(data, rng, b"stts", b"ctts") or (b"", 0, 64)
    some = [at for at in range(begin + 20, end, 8) if rng.random() < 0.5] or [begin + 20]
    for at in some:
        data = _put(data, at, ">i", rng.choice((0, -1, 1, -(2**31), 2**31 - 1, rng.randint(-(10**6), 10**6))))
    return data


def box_edits(data: bytes, rng: Random) -> bytes:
    """The edit list: what of a track is shown."""
    box = _box(data, rng, b"elst")
    if box is None:
        return box_durations(data, rng)
    at = box[1] + 16
    data = _put(data, at, ">Ii", rng.choice(ABSURD), rng.choice((-1, -2, 0, 1, 2**31 - 1, -(2**31), 40_000)))
    return _put(data, at + 8, ">I", rng.choice((0x10000, 0, 0x8000, 0xFFFFFFFF, 0x20000)))


def box_turned(data: bytes, rng: Random) -> bytes:
    """The matrix that turns, stretches and mirrors the picture."""
    box = _box(data, rng, b"tkhd")
    turns = ((0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (0, 0, 0, 0), (1, 1, 1, 1), (-1, 0, 0, 1))
    if rng.random() < 0.5:
        a, b, c, d = (v << 16 for v in rng.choice(turns))
    else:
        a, b, c, d = (rng.randint(-(2**31), 2**31 - 1) for _ in range(4))
    return _put(data, (box or (b"", 0, 0))[1] + 48, ">iiiii", a, b, 0, c, d)


def box_picture(data: bytes, rng: Random) -> bytes:
    """The size of the picture, in tkhd (16.16) or in stsd (16 bits each), and that of its pixels."""
    size = rng.choice(((100_000, 100_000), (0, 0), (65_535, 65_535), (1, 1), (100_000, 16), (17, 33)))
    what = rng.choice((b"tkhd", b"avc1", b"pasp"))
    at = data.find(what)
    if what == b"pasp" or at < 0:
        return _put(data, at + 4, ">II", rng.choice(ABSURD), rng.choice(ABSURD)) if at >= 0 else box_sizes(data, rng)
    if what == b"tkhd":
        return _put(data, at + 80, ">II", (size[0] << 16) & 0xFFFFFFFF, (size[1] << 16) & 0xFFFFFFFF)
    return _put(data, at + 28, ">HH", size[0] & 0xFFFF, size[1] & 0xFFFF)


def box_sound(data: bytes, rng: Random) -> bytes:
    """Channels, bits and rate of the sound, as stsd says them."""
    at = max(data.find(name, 40) for name in (b"mp4a", b"fl32", b"lpcm", b"sowt"))
    if rng.random() < 0.5:
        return _put(data, at + 28, ">I", rng.choice((0, 1, 0xFFFFFFFF, 7, 48_000 << 16)))
    return _put(data, at + 20, ">HH", rng.choice((0, 255, 65_535, 8, 2)), rng.choice((0, 1, 16, 32, 64, 65_535)))


def _exp_golomb(value: int) -> str:
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def sps(width: int, height: int) -> bytes:
    """A sequence parameter set of H.264 (baseline) that says how large the picture is, in whole blocks of 16."""
    told = [_exp_golomb(v) for v in (0, 0, 2, 1)]  # id, frame numbers, order as decoded, one frame of reference
    told += ["0", _exp_golomb(max(0, width // 16 - 1)), _exp_golomb(max(0, height // 16 - 1)), "1", "1", "0", "0", "1"]
    bits = "".join(told)
    bits += "0" * (-len(bits) % 8)
    return bytes([0x67, 66, 0xC0, 52]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def sps_sizes(data: bytes, rng: Random) -> bytes:
    """Every sequence parameter set in the file says another size."""
    told = sps(*rng.choice(((100_000, 100_000), (16_384, 16_384), (8_208, 8_208), (16, 16), (32, 100_000), (640, 480))))
    at, found = 0, False
    while (at := data.find(b"\x67", at + 1)) > 0:
        if data[at + 1 : at + 2] in (b"\x42", b"\x4d", b"\x64") and data[at - 1] in (1, *range(16, 40)):
            data, found = data[:at] + told + data[at + len(told) :], True
            at += len(told)
    return data if found else flipped(data, rng)


MP4: tuple[Harm, ...] = (
    box_sizes, box_counts, box_tables, box_durations, box_times, box_edits, box_turned, box_picture, box_sound, sps_sizes,
)  # fmt: skip


# ── Matroska ─────────────────────────────────────────────────────────────────────────────────────────────────

MASTERS = {0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675, 0xA0, 0x1549A966, 0x1C53BB6B, 0xBB, 0xB7, 0x114D9B74, 0x4DBB}
NUMBERS = {
    "picture": (0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2), "sound": (0x9F, 0x6264, 0xB5, 0x78B5),
    "times": (0xE7, 0x2AD7B1, 0x23E383, 0x4489, 0xB3, 0x9B, 0x56AA, 0x56BB), "tracks": (0xD7, 0x83, 0x88, 0x9C, 0xF7, 0xF1),
}  # fmt: skip


def elements(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """(id, where its size stands, where what it holds begins, where it ends) of a sound file."""
    end = len(data) if end is None else end
    while begin < end and data[begin]:
        length = 9 - data[begin].bit_length()
        at = begin + length
        if length > 4 or at >= end or not data[at]:
            return
        kind = int.from_bytes(data[begin:at], "big")
        wide = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + wide], "big") & ((1 << 7 * wide) - 1)
        inner = at + wide
        stop = end if size == (1 << 7 * wide) - 1 else min(end, inner + size)
        yield kind, at, inner, stop
        if kind in MASTERS:
            yield from elements(data, inner, stop)
        begin = stop


def _element(data: bytes, rng: Random, kinds: tuple[int, ...] = ()) -> tuple[int, int, int, int] | None:
    found = [e for e in elements(data) if not kinds or e[0] in kinds]
    return rng.choice(found) if found else None


def element_sizes(data: bytes, rng: Random) -> bytes:
    _, at, inner, _ = _element(data, rng) or (0, 4, 5, 6)
    wide = inner - at
    told = rng.choice((0, 1, (1 << 7 * wide) - 1, (1 << 7 * wide) - 2, rng.getrandbits(7 * wide)))
    return data[:at] + ((1 << 7 * wide) | told).to_bytes(wide, "big") + data[inner:]


def _element_number(data: bytes, rng: Random, kinds: tuple[int, ...]) -> bytes:
    found = _element(data, rng, kinds)
    if found is None:
        return element_sizes(data, rng)
    kind, _, inner, stop = found
    wide = stop - inner
    if kind in (0xB5, 0x78B5, 0x4489) and wide in (4, 8):
        number = rng.choice((0.0, -1.0, 1e9, 1e300, float("nan"), float("inf"), 0.5))
        told = struct.pack(">f" if wide == 4 else ">d", number if wide == 8 or abs(number) < 1e38 else float("inf"))
    else:
        told = (rng.choice(ABSURD) & ((1 << 8 * wide) - 1)).to_bytes(wide, "big")
    return data[:inner] + told + data[stop:]


def element_picture(data: bytes, rng: Random) -> bytes:
    return _element_number(data, rng, NUMBERS["picture"])


def element_sound(data: bytes, rng: Random) -> bytes:
    return _element_number(data, rng, NUMBERS["sound"])


def element_times(data: bytes, rng: Random) -> bytes:
    return _element_number(data, rng, NUMBERS["times"])


def element_tracks(data: bytes, rng: Random) -> bytes:
    return _element_number(data, rng, NUMBERS["tracks"])


def cluster_times(data: bytes, rng: Random) -> bytes:
    """A cluster's clock of 8 bytes, far away: after it nothing in the file fits the sizes before it."""
    found = _element(data, rng, (0xE7,))
    if found is None:
        return element_sizes(data, rng)
    _, at, _, stop = found
    told = rng.choice((2**31, 10**9, 10**12, 2**62, 2**63, 2**64 - 1))
    return data[:at] + b"\x88" + told.to_bytes(8, "big") + data[stop:]


def block_times(data: bytes, rng: Random) -> bytes:
    """Frames' times within their cluster, of 16 bits and a sign."""
    for _, _, inner, _ in [e for e in elements(data) if e[0] in (0xA3, 0xA1)]:
        if rng.random() < 0.3:
            data = _put(data, inner + 1, ">h", rng.choice((0, -1, -32_768, 32_767, rng.randint(-1000, 3000))))
    return data


MKV: tuple[Harm, ...] = (
    element_sizes, element_picture, element_sound, element_times, element_tracks, cluster_times, block_times, sps_sizes,
)  # fmt: skip


# ── avi ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _chunk(data: bytes, name: bytes, rng: Random) -> int:
    places = [i for i in range(len(data) - 8) if data[i : i + 4] == name] if name else []
    return rng.choice(places) if places else 0


def chunk_sizes(data: bytes, rng: Random) -> bytes:
    at = _chunk(data, rng.choice((b"RIFF", b"LIST", b"avih", b"strh", b"strf", b"00dc", b"01wb", b"idx1", b"JUNK")), rng)
    return _put(data, at + 4, "<I", rng.choice(ABSURD))


def chunk_rates(data: bytes, rng: Random) -> bytes:
    """Scale, rate, start, length and sample size of a stream."""
    return _put(data, _chunk(data, b"strh", rng) + 8 + rng.choice((20, 24, 28, 32, 44)), "<I", rng.choice(ABSURD))


def chunk_head(data: bytes, rng: Random) -> bytes:
    """Microseconds a frame, frames, streams, width and height of the whole file."""
    return _put(data, _chunk(data, b"avih", rng) + 8 + rng.choice((0, 16, 24, 32, 36)), "<I", rng.choice(ABSURD))


def chunk_picture(data: bytes, rng: Random) -> bytes:
    size = rng.choice(((100_000, 100_000), (0, 0), (2**31 - 1, 2**31 - 1), (1, 1), (-192, -108)))
    return _put(data, data.find(b"strf") + 12, "<ii", *size)


def chunk_sound(data: bytes, rng: Random) -> bytes:
    """Kind, channels, rate, bytes a second, block and bits of the sound."""
    at = data.rfind(b"strf", 0, 8192) + 8
    at, layout = rng.choice(((at, "<H"), (at + 2, "<H"), (at + 4, "<I"), (at + 8, "<I"), (at + 12, "<H"), (at + 14, "<H")))
    told = rng.choice((*ABSURD, 1, 3)) & (0xFFFF if layout == "<H" else 0xFFFFFFFF)
    return _put(data, at, layout, told)


def chunk_index(data: bytes, rng: Random) -> bytes:
    at = data.rfind(b"idx1")
    for _ in range(rng.choice((1, 5, 50))):
        data = _put(data, at + 8 + 4 * rng.randrange((len(data) - at - 8) // 4), "<I", rng.choice((*ABSURD, rng.getrandbits(20))))
    return data


AVI: tuple[Harm, ...] = (chunk_sizes, chunk_rates, chunk_head, chunk_picture, chunk_sound, chunk_index)


# ── MPEG programme and transport streams ─────────────────────────────────────────────────────────────────────


def stamps(data: bytes) -> Iterator[int]:
    """Where the time stamps of the packets stand: five bytes each."""
    at = -1
    while (at := data.find(b"\x00\x00\x01", at + 1)) >= 0:
        if len(data) < at + 40 or not 0xC0 <= data[at + 3] <= 0xEF:
            continue
        here = at + 6
        if data[here] >> 6 == 2:  # MPEG-2
            if data[here + 1] & 0x80:
                yield here + 3
            continue
        while data[here] == 0xFF and here < at + 30:
            here += 1
        here += 2 if data[here] >> 6 == 1 else 0
        if data[here] >> 4 in (2, 3):
            yield here


def stamp(data: bytes, at: int, ticks: int) -> bytes:
    """A time stamp of 90,000 a second, 33 bits, as packets have it."""
    ticks %= 1 << 33
    told = (
        data[at] & 0xF0 | ticks >> 29 & 0xE | 1,
        ticks >> 22 & 0xFF,
        ticks >> 14 & 0xFE | 1,
        ticks >> 7 & 0xFF,
        ticks << 1 & 0xFE | 1,
    )
    return data[:at] + bytes(told) + data[at + 5 :]


def stamps_moved(data: bytes, rng: Random) -> bytes:
    """Some packets' times far away, negative, or in another order."""
    share = rng.choice((0.02, 0.3, 1.0))
    how = rng.choice((
        lambda: rng.getrandbits(33), lambda: -90_000, lambda: 0, lambda: 2**33 - 1, lambda: 90_000 * 3600 * 20,
        lambda: rng.randrange(90_000 * 3),
    ))  # fmt: skip
    for at in list(stamps(data)):
        if rng.random() < share:
            data = stamp(data, at, how())
    return data


def sequence_heads(data: bytes, rng: Random) -> bytes:
    """MPEG-1's own size of the picture, shape of the pixels and rate of frames."""
    if data.find(b"\x00\x00\x01\xb3") < 0:
        return sps_sizes(data, rng)
    width, height = rng.choice(((4095, 4095), (0, 0), (16, 4095), (176, 144), (1, 1)))
    told = struct.pack(">I", width << 20 | height << 8 | rng.randrange(256))
    at = -1
    while (at := data.find(b"\x00\x00\x01\xb3", at + 1)) >= 0:
        data = data[: at + 4] + told + data[at + 8 :]
    return data


def packets_lost(data: bytes, rng: Random) -> bytes:
    """Whole packets of 188 or 2048 bytes are lost, sent twice or out of order, as on a bad line."""
    size = 188 if data[:1] == b"\x47" else 2048
    packets = [data[i : i + size] for i in range(0, len(data), size)]
    share = rng.choice((0.01, 0.1, 0.5))
    out: list[bytes] = []
    for packet in packets:
        match rng.choice(("lost", "twice", "late")) if rng.random() < share else "":
            case "twice":
                out += [packet, packet]
            case "late":
                out.insert(rng.randrange(len(out) + 1), packet)
            case "":
                out.append(packet)
    return b"".join(out)


def packet_heads(data: bytes, rng: Random) -> bytes:
    """Other stream numbers, flags and lengths in the first bytes of some packets."""
    size = 188 if data[:1] == b"\x47" else 2048
    for at in range(0, len(data) - 8, size):
        if rng.random() < 0.1:
            data = _put(data, at + rng.randrange(8), ">B", rng.choice((0, 0x47, 0xFF, rng.randrange(256))))
    return data


MPEG: tuple[Harm, ...] = (stamps_moved, sequence_heads, packets_lost, packet_heads, sps_sizes)
KNOWING = {"mp4": MP4, "mov": MP4, "mkv": MKV, "avi": AVI, "mpg": MPEG, "ts": MPEG}


def mutants(sound: dict[str, bytes], count: int, seed: int = SEED) -> Iterator[tuple[str, bytes]]:
    """`count` harmed files and their names, the same every time: all containers in turn, all harms of each in turn.

    One in eight is harmed twice.
    """
    for number in range(count):
        rng = Random(f"{seed} {number}")
        ending = list(sound)[number % len(sound)]
        turn = number // len(sound)
        ways = [harm for pair in zip(BLIND * 4, KNOWING[ending] * 9, strict=False) for harm in pair]
        harms = [ways[turn % len(ways)], *([rng.choice(ways)] if rng.random() < 1 / 8 else [])]
        data = sound[ending]
        for harm in harms:
            data = harm(data, rng)
        yield f"{number:04}-{'-'.join(h.__name__ for h in harms)}.{ending}", data


# ── documents: JSON, TOML, CSV ───────────────────────────────────────────────────────────────────────────────

ODD = (
    None, True, False, 0, -1, 1, 10**30, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf"), "", " ", "0",
    "-1", "1e9", "nan", "\ud800", "\u202e\u2066", "a\x00b", "\ufeff", "two\nlines\r\n", '"', "'", "../../x", "é", "x" * 3000,
    [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": []}}}, ["a", 1, None], [0, 0],
)  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _places(inner, (*at, key))


def awry(document: Any, rng: Random) -> Any:
    """A document of JSON values in which one to three things are of another kind, gone, twice, or called otherwise."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        *path, last = rng.choice([p for p in _places(document) if p] or [(None,)])
        if last is None:
            return rng.choice(ODD)
        whole = document = json.loads(json.dumps(document))
        for key in path:
            whole = whole[key]
        match rng.choice(("odd", "odd", "odd", "gone", "renamed", "wrapped", "elsewhere", "as text")):
            case "odd":
                whole[last] = rng.choice(ODD)
            case "gone":
                del whole[last]
            case "renamed" if isinstance(whole, dict):
                whole[rng.choice(("", "x", f"{last} ", "\ud800"))] = whole.pop(last)
            case "wrapped":
                whole[last] = rng.choice(([whole[last]], {"x": whole[last]}, [whole[last], whole[last]]))
            case "as text":
                whole[last] = str(whole[last])
            case _:
                whole[last] = rng.choice(list(whole.values() if isinstance(whole, dict) else whole))
    return document


def garbled(data: bytes, rng: Random) -> bytes:
    """The bytes of a text as other programs leave them: marks, line ends, alphabets, depths, sizes, doubled lines."""
    lines = data.split(b"\n")
    at = rng.randrange(len(data) + 1)
    match rng.randrange(13):
        case 0:
            return b"\xef\xbb\xbf" + data
        case 1:
            return data.replace(b"\n", b"\r\n")
        case 2:
            return data.decode("utf-8", "replace").encode("latin-1", "replace") + b"\xe9\xff"
        case 3:
            return data.decode("utf-8", "replace").encode("utf-16")
        case 4:
            return data[:at]
        case 5:
            return data[:at] + rng.choice((b"\x00", b"\xff", b'"', b"'", b"{", b"]", b",", b"\xed\xa0\x80", b"=")) + data[at:]
        case 6:
            line = rng.randrange(len(lines))
            return b"\n".join([*lines[: line + 1], lines[line], *lines[line + 1 :]])
        case 7:
            return rng.choice((b"[" * 100_000, b'{"a":' * 50_000, b"[" * 5000 + b"]" * 5000))
        case 8:
            numbers = list(re.finditer(rb"(?<![\w.\"])\d+(?![\w.])", data))
            if not numbers:
                return data + b"1"
            m = rng.choice(numbers)
            said = rng.choice((b"9" * 5000, b"-1", b"NaN", b"Infinity", b"1e999", b"0.1", b"true", b"00", b"9" * 19))
            return data[: m.start()] + said + data[m.end() :]
        case 9:
            return rng.choice((b"", b"\n", b"null", b"[]", b"{}", b"0", b'""', b"\x00" * 100))
        case 10:
            return data.replace(b",", b";")
        case 11:
            rng.shuffle(lines)
            return b"\n".join(lines)
        case _:
            return flipped(data, rng) if data else b"\xff"
