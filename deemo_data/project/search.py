"""Whether secrets stand in a folder, byte by byte."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1 << 24


class Hit(NamedTuple):
    """A secret that was found: the file, where in it (name, bytes, or a column), and which secret by its number."""

    file: str
    where: str
    secret: int


# ── a folder ─────────────────────────────────────────────────────────────────────────────────────────────────


def find_secrets(folder: Path, secrets: Sequence[str | bytes]) -> list[Hit]:
    """Where secrets occur in a folder of released files: in names, in bytes, and in what Parquet files hold compressed.

    Whatever the case, as UTF-8, UTF-16 or Latin-1, and as JSON, HTML and addresses write it. A hit has the number of
    the secret and not the secret. Secrets of fewer than three letters are refused with a ValueError: they are everywhere.
    """
    if short := [n for n, s in enumerate(secrets) if len(s) < 3]:
        raise ValueError(f"secrets number {short} are too short to look for")
    spelt = [spellings(s) for s in secrets]
    hits: dict[Hit, None] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() or p.is_symlink()):
        name = path.relative_to(folder).as_posix()
        places: Iterator[tuple[str, bytes]] = iter([("name", name.encode(errors="surrogateescape"))])
        for where, data in [*places, *contents(path)]:
            small = data.lower()
            for number, ways in enumerate(spelt):
                if any(way in small for way in ways):
                    hits[Hit(name, where, number)] = None
    return list(hits)


def spellings(secret: str | bytes) -> set[bytes]:
    """The bytes, in small letters, in which a secret may stand in a file."""
    if isinstance(secret, bytes):
        return {secret.lower()}
    words = {secret, secret.lower(), secret.upper(), secret.casefold(), secret.title()}
    words |= {w.replace(" ", s) for w in set(words) for s in ("_", "-", "+", "%20")}
    written = {f(w) for w in words for f in (str, html.escape, quote, lambda w: json.dumps(w)[1:-1])}
    ways = {w.encode(code, errors="ignore") for w in written for code in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")}
    return {w.lower() for w in ways if len(w) >= 3}


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """("bytes", a part of the file) with parts that overlap, then (column, all its words) of a Parquet file."""
    if not path.is_file():
        return
    tail = b""
    with suppress(FileNotFoundError), path.open("rb") as file:  # what a server just writes may be gone
        while chunk := file.read(CHUNK):
            yield "bytes", tail + chunk
            tail = chunk[-4096:]
    if path.suffix == ".parquet":
        yield from _columns(path)


def _columns(path: Path) -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        return
    yield "schema", b"\0".join(x for pair in (file.schema_arrow.metadata or {}).items() for x in pair)
    for batch in file.iter_batches(batch_size=64):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            yield f"column {name}", b"\0".join(_words(column))


def _words(array: pa.Array) -> Iterator[bytes]:
    """Every text and every run of bytes in a column, however deep."""
    import pyarrow as pa

    kind: Any = array.type
    if pa.types.is_dictionary(kind):
        yield from _words(array.dictionary_decode())
    elif pa.types.is_struct(kind):
        for field in array.flatten():
            yield from _words(field)
    elif pa.types.is_map(kind):
        yield from _words(array.keys)
        yield from _words(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _words(array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from (w.encode() for w in array.to_pylist() if w is not None)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        yield from (w for w in array.to_pylist() if w is not None)
