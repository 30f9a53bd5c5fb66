"""Searches a folder for strings that must not be in it, byte by byte and inside Parquet columns.

`deemo forget` searches a project for leftovers of a person; `deemo audit` searches released files for names and ids.
"""

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

CHUNK_BYTES = 1 << 24


class SecretHit(NamedTuple):
    """A secret in a file: the file, where in it ("name", "bytes", "schema" or "column NAME"), and the number of the secret."""

    file: str
    where: str
    secret: int


# ── a folder ─────────────────────────────────────────────────────────────────────────────────────────────────


def find_secrets(folder: Path, secrets: Sequence[str | bytes]) -> list[SecretHit]:
    """Search the names of files, their bytes, and the values in Parquet files, which are compressed.

    The search ignores case. It covers UTF-8, UTF-16 and Latin-1, and the escaped forms in JSON, HTML and URLs. A hit has the
    number of the secret, not the secret itself. Raises ValueError for secrets of fewer than three letters, which occur in any
    file.
    """
    if short := [n for n, s in enumerate(secrets) if len(s) < 3]:
        raise ValueError(f"secrets number {short} are too short to look for")
    spellings = [spellings_of(s) for s in secrets]
    hits: dict[SecretHit, None] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() or p.is_symlink()):
        name = path.relative_to(folder).as_posix()
        places: Iterator[tuple[str, bytes]] = iter([("name", name.encode(errors="surrogateescape"))])
        for where, data in [*places, *read_contents(path)]:
            lower = data.lower()
            for number, ways in enumerate(spellings):
                if any(way in lower for way in ways):
                    hits[SecretHit(name, where, number)] = None
    return list(hits)


def spellings_of(secret: str | bytes) -> set[bytes]:
    """The byte strings, in lower case, by which a secret may be written in a file."""
    if isinstance(secret, bytes):
        return {secret.lower()}
    words = {secret, secret.lower(), secret.upper(), secret.casefold(), secret.title()}
    words |= {w.replace(" ", s) for w in set(words) for s in ("_", "-", "+", "%20")}
    written = {f(w) for w in words for f in (str, html.escape, quote, lambda w: json.dumps(w)[1:-1])}
    ways = {w.encode(code, errors="ignore") for w in written for code in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")}
    return {w.lower() for w in ways if len(w) >= 3}


def read_contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Pairs ("bytes", part of the file), where parts overlap by 4096 bytes; of a Parquet file then ("column NAME", values)."""
    if not path.is_file():
        return
    tail = b""
    with suppress(FileNotFoundError), path.open("rb") as file:  # a file that a server was writing may be gone
        while chunk := file.read(CHUNK_BYTES):
            yield "bytes", tail + chunk
            tail = chunk[-4096:]
    if path.suffix == ".parquet":
        yield from _read_columns(path)


def _read_columns(path: Path) -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        return
    yield "schema", b"\0".join(x for pair in (file.schema_arrow.metadata or {}).items() for x in pair)
    for batch in file.iter_batches(batch_size=64):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            yield f"column {name}", b"\0".join(_read_words(column))


def _read_words(array: pa.Array) -> Iterator[bytes]:
    """Every string and every byte string in a column, also nested ones."""
    import pyarrow as pa

    kind: Any = array.type
    if pa.types.is_dictionary(kind):
        yield from _read_words(array.dictionary_decode())
    elif pa.types.is_struct(kind):
        for field in array.flatten():
            yield from _read_words(field)
    elif pa.types.is_map(kind):
        yield from _read_words(array.keys)
        yield from _read_words(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _read_words(array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from (w.encode() for w in array.to_pylist() if w is not None)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        yield from (w for w in array.to_pylist() if w is not None)
