"""Reads a table of text as spreadsheets and programs write it: CSV with any common separator, in UTF-8, UTF-16 or Windows-1252.

What had to be guessed is told in notices. What cannot be guessed safely is refused, with how to save the table. It is used for
tables of sources (source_table.py) and for match tables (annotation/export_file.py).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deemo_data.errors import ConfigError
from deemo_data.notices import Notice

SAVE_ADVICE = "Save it as CSV UTF-8 (comma delimited) and run again"
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
BINARY_SUFFIXES = (
    ".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers", ".parquet", ".sav", ".dta", ".rds", ".docx", ".pdf", ".json", ".jsonl",
    ".xml", ".html",
)  # fmt: skip
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
            (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
MACHINE_NOTHINGS = ("nan", "NaN", "NAN", "<NA>", "NaT", "NULL", "null", "#N/A", "#N/A N/A", "#NA", "-nan")  # for an empty cell
WESTERN_LETTERS = "àáâãäåæçèéêëìíîïñòóôõöøùúûüœ"
WESTERN_MARKS = "“”‘’„‚–—…«»°§€£·¡¿´\xa0"
MAX_WORDS_SHOWN = 8


@dataclass(frozen=True)
class Table:
    """The rows of a table.

    columns   names of the columns, in small letters with _ for blanks
    rows      (number of the line on which the row ends, {column: its cell without blanks around it})
    notices   what was guessed or left out
    unsure    words in which letters were guessed, for the owner to check; they may be names
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    notices: tuple[Notice, ...] = ()
    unsure: tuple[str, ...] = ()


def read_table(path: Path, known: Sequence[str], required: Sequence[str], aliases: Mapping[str, str] | None = None) -> Table:
    """Read a table that has a row with names of columns.

    known     the columns that it may have
    required  the columns that it must have
    aliases   other names of known columns
    Rows without any value, columns without a name and without values, and a column of row numbers without a name are left out.
    Raises ConfigError for what is no such table, with the line where there is one.
    """
    advice = f"Known columns: {', '.join(known)}; only {' and '.join(required)} {'is' if len(required) == 1 else 'are'} required"
    if path.suffix.lower() in BINARY_SUFFIXES:
        raise ConfigError(f"{path.name} is not a table of text", SAVE_ADVICE)
    text, notices, unsure = _decode_text(path)
    first, _, rest = text.partition("\n")
    told = re.fullmatch(r"\ufeff?\"?sep=(.)\"?\s*", first, re.IGNORECASE)
    separator, names = _find_separator(rest if told else first, known, aliases or {}, told[1] if told else None)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t", strict=False)
        lines = [(reader.line_num, [_clean_cell(cell) for cell in cells]) for cells in reader]
        _check_quotes(path, text, separator, lines)
    except csv.Error as e:
        raise ConfigError(f"{path.name} cannot be read as a table: {e}", SAVE_ADVICE) from e
    if garbled := _find_garbled(text):
        what = f"{path.name}: its letters are garbled ({garbled!r}): a program read UTF-8 as Windows-1252 and saved that"
        raise ConfigError(what, "Import it anew as UTF-8, then save it as CSV UTF-8 (comma delimited) and run again")
    lines = lines[1:] if told else lines
    if any("\x00" in cell for _, cells in lines for cell in cells):
        raise ConfigError(f"{path.name} holds bytes that are no text", SAVE_ADVICE)
    columns = [names.get(cell, cell) for cell in (lines[0][1] if lines else [])]
    for name in required:
        if name not in columns:
            has = ", ".join(filter(None, columns))[:200] or "none"
            raise ConfigError(f"{path.name} has no column {name} (it has {has})", advice)
    if unknown := [c for c in columns if c and c not in known and not re.fullmatch(r"Unnamed: \d+", c)]:
        raise ConfigError(f"{path.name} has a column {unknown[0]!r} that is not known", advice)
    named = [c for c in columns if c in known]
    if len(set(named)) < len(named):
        raise ConfigError(f"{path.name} has a column twice", advice)
    if separator != ",":
        notices.append(Notice("table_separator", f"The cells of the table are parted by {SEPARATORS.get(separator, separator)}."))
    filled = [(number, cells) for number, cells in lines[1:] if any(cells)]
    if blank := len(lines) - 1 - len(filled):
        notices.append(Notice("table_blank_rows", f"{blank} rows of the table have no value and were left out."))
    notices += _check_nameless_columns(path, columns, filled)
    return Table(tuple(named), tuple(_name_cells(path, columns, known, filled)), tuple(notices), unsure)


def is_machine_nothing(cell: str) -> bool:
    """Whether a program wrote this for a cell that is empty."""
    return cell in MACHINE_NOTHINGS


def parse_whole_number(cell: str) -> int | None:
    """A whole number as tables hold it: also 2000.0 and 2000,0, as programs write it. None for anything else.

    Three digits after the mark may be thousands, so 1.000 is not read.
    """
    found = re.fullmatch(r"(-?[0-9]{1,12})(?:[.,]0{1,2})?", cell)
    return int(found[1]) if found else None


def describe_number_fault(cell: str) -> str:
    """Why a cell is no whole number of milliseconds, in words that end a sentence."""
    if ":" in cell:
        return "a time of day; write milliseconds, 90000 for 1:30 min"
    if re.fullmatch(r"-?\d+[.,]\d{3}", cell):
        return "either thousands or a fraction; write it without a mark"
    if re.fullmatch(r"-?[\d.,]+[eE][+-]?\d+", cell):
        return "a rounded number; format the column as a number without decimals"
    return "not a whole number of milliseconds"


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _decode_text(path: Path) -> tuple[str, list[Notice], tuple[str, ...]]:
    """The text of a file; notices about its encoding; words in which letters were guessed. Raises ConfigError."""
    data = path.read_bytes()
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if encoding is None and data[:200].count(b"\x00") > len(data[:200]) // 4:
        encoding = "utf-16-be" if data[:1] == b"\x00" else "utf-16-le"
    try:
        text = data.decode(encoding or "utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as e:
        if encoding is not None:
            raise ConfigError(f"{path.name} is damaged: it is no {encoding.upper()}", SAVE_ADVICE) from e
        return _decode_windows_text(path, data)
    told = [Notice("table_encoding", f"The table is in {encoding.upper()}.")] if encoding not in (None, "utf-8") else []
    return text.replace("\r\n", "\n").replace("\r", "\n"), told, ()


def _decode_windows_text(path: Path, data: bytes) -> tuple[str, list[Notice], tuple[str, ...]]:
    """A text in Windows-1252, if each of its words can be one of Western Europe. Raises ConfigError for other encodings."""
    refusal = ConfigError(f"{path.name} is not in UTF-8, and its letters cannot be told for certain", SAVE_ADVICE)
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as e:
        raise refusal from e
    words = sorted({w for w in re.findall(r"[^\W\d_]+(?:’[^\W\d_]+)*", text) if not w.isascii()})
    strange = re.search(
        rf"[^\x00-\x7f\w{WESTERN_MARKS}]|[^\W\d_][^\x00-\x7f\w’\xa0][^\W\d_]|[°§€£·´][^\W\d_]|[^\W\d_][“‘„‚«§´·]", text
    )
    if strange or not all(_is_western(part) for word in words for part in word.split("’")):
        raise refusal
    notice = Notice(
        "table_encoding", f"The table is not in UTF-8 and was read as Windows-1252; {len(words)} words depend on that."
    )
    return text.replace("\r\n", "\n").replace("\r", "\n"), [notice], tuple(words[:MAX_WORDS_SHOWN])


def _find_garbled(text: str) -> str:
    """The first letters of a text that are UTF-8 read as Windows-1252, as "Ã¼" for ü; empty without one."""
    for run in re.findall(r"[^\x00-\x7f]{2,}", text):
        bytes_of = [_encode_windows(c) for c in run]
        for at, byte in enumerate(bytes_of):
            size = 2 if 0xC3 <= byte <= 0xDF else 3 if 0xE0 <= byte <= 0xEF else 0
            piece = bytes_of[at : at + size]
            if size and len(piece) == size and min(piece) >= 0x80:
                with suppress(UnicodeDecodeError):
                    letter = bytes(piece).decode()
                    if letter.isalpha() and not "\u0180" <= letter <= "\u036f":  # É» may be meant
                        return run[at : at + size]
    return ""


def _encode_windows(letter: str) -> int:
    """The byte of a letter in Windows-1252; 0 where it has none. Five bytes without a letter stand for themselves."""
    with suppress(UnicodeEncodeError):
        return letter.encode("cp1252")[0]
    return ord(letter) if ord(letter) < 0x100 else 0


def _check_quotes(path: Path, text: str, separator: str, lines: Sequence[tuple[int, list[str]]]) -> None:
    """Raise ConfigError where a double quote is not closed: then one cell swallows the lines that follow, and what they say."""
    if not any("\n" in cell for _, cells in lines for cell in cells):
        return
    strict = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    number = 0
    try:
        for _ in strict:
            number = strict.line_num
    except csv.Error as e:
        what = f"{path.name} line {number + 1}: a double quote is not closed, or one stands within a cell"
        raise ConfigError(what, "Mend that line and run again; a double quote within a value is written twice") from e


def _is_western(word: str) -> bool:
    """Whether a word with letters beyond ASCII looks like one of Western Europe, and not like bytes of another encoding."""
    for at, letter in enumerate(word):
        if letter.isascii() or letter == "ß":
            continue
        if letter.lower() not in WESTERN_LETTERS:
            return False
        before = word[at - 1 : at]
        if before and ((not before.isascii() and letter not in (before, "ñ")) or (letter.isupper() and not before.isupper())):
            return False
    return True


def _clean_cell(cell: str) -> str:
    return unicodedata.normalize("NFC", cell).strip().strip("\ufeff\u200b").strip()


# ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────


def _find_separator(
    header: str, known: Sequence[str], aliases: Mapping[str, str], told: str | None
) -> tuple[str, dict[str, str]]:
    """The separator that gives the most known columns, and {cell of the header: the known column that it names}."""
    header = header.partition("\n")[0]
    best: tuple[str, dict[str, str]] = (told or ",", {})
    for separator in [told] if told else SEPARATORS:
        cells = [_clean_cell(c) for c in next(csv.reader([header], delimiter=separator, skipinitialspace=separator != "\t"), [])]
        folded = {cell: re.sub(r"[\s-]+", "_", cell.casefold()) for cell in cells}
        names = {cell: aliases.get(name, name) for cell, name in folded.items() if aliases.get(name, name) in known}
        if len(names) > len(best[1]):
            best = separator, names
    return best


def _check_nameless_columns(path: Path, columns: Sequence[str], rows: Sequence[tuple[int, list[str]]]) -> Iterator[Notice]:
    """Notices about columns without a name that are left out. Raises ConfigError for one that has values."""
    for at, name in enumerate(columns):
        if name and not name.startswith("Unnamed: "):
            continue
        values = [cells[at] for _, cells in rows if at < len(cells)]
        numbers = [parse_whole_number(value) for value in values]
        if at == 0 and len(values) > 0 and numbers in ([*range(len(rows))], [*range(1, len(rows) + 1)]):
            yield Notice("table_row_numbers", "The first column of the table holds row numbers and was left out.")
        elif any(values):
            line = next(number for number, cells in rows if at < len(cells) and cells[at])
            raise ConfigError(f"{path.name} line {line}: column {at + 1} has a value but no name", "Name the column or empty it")


def _name_cells(
    path: Path, columns: Sequence[str], known: Sequence[str], rows: Sequence[tuple[int, list[str]]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows with their cells by column. Raises ConfigError for a row with more values than there are columns."""
    for number, cells in rows:
        if any(cells[len(columns) :]):
            advice = "Mend that line and run again; a value that holds the separator goes in double quotes"
            raise ConfigError(f"{path.name} line {number} has more values than columns", advice)
        padded = [*cells, *[""] * len(columns)]
        yield number, {name: padded[at] for at, name in enumerate(columns) if name in known}
