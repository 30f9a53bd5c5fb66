"""entry.json is read in each form that a version of deemo has written, and refused when a value in it has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deemo_data.pipeline.entry import format_entry, read_entry

FORMS = ("canonical, indented", "text", "canonical, one line")
ENTRY: dict[str, Any] = {
    "clip": "aa-0-100",
    "facts": {"level": 3, "words": 'a "quoted", "seconds": 5, "sum": "x" – wörd\n', "seconds": 7, "sum": "", "none": [{}, []]},
    "files": {"loud": {"bytes": 4, "name": "loud.bin", "sha256": "0" * 64}},
    "needs": {"source": "1" * 64},
    "parameters": {"gain": 2.5, "seconds": 0.25, "sum": "plain"},
    "seconds": 8.767,
    "source": "aa",
    "stage": "Louder",
    "version": 1,
    "versions": {"av": "18.1.0"},
}


def written(form: str) -> str:
    """The entry as the version of deemo that had this form wrote it."""
    match form:
        case "canonical, indented":
            counted = {name: value for name, value in ENTRY.items() if name != "seconds"}
            digest = hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
            return json.dumps(ENTRY | {"sum": digest}, indent=1, sort_keys=True)
        case "text":
            text = json.dumps(ENTRY | {"sum": ""}, indent=1, sort_keys=True)
            digest = hashlib.sha256(text.replace('\n "seconds": 8.767', '\n "seconds": 0').encode()).hexdigest()
            return text.replace('\n "sum": ""', f'\n "sum": "{digest}"')
        case _:
            return format_entry(ENTRY)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "loud.bin").write_bytes(b"loud")
    return tmp_path


def read(home: Path, text: str | bytes) -> dict[str, Any] | None:
    (home / "entry.json").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_entry(home)


def without_sum(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "sum"}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(home: Path, form: str) -> None:
    entry = read(home, written(form))
    assert entry is not None
    assert without_sum(entry) == ENTRY


def test_what_is_written_has_the_digest_of_the_first_form(home: Path) -> None:
    """Versions that wrote either of the older forms read this one too."""
    text = format_entry(ENTRY)
    assert json.loads(text)["sum"] == json.loads(written(FORMS[0]))["sum"]
    assert list(json.loads(text)) == [*sorted(set(ENTRY) - {"seconds"}), "seconds", "sum"]
    assert text.count("\n") == 1, "one line"


def test_an_entry_that_was_read_is_written_as_it_was(home: Path) -> None:
    for form in FORMS:
        entry = read(home, written(form))
        assert entry is not None
        assert format_entry(entry) == format_entry(ENTRY), form


@pytest.mark.parametrize("form", FORMS)
def test_no_changed_byte_changes_what_is_read(home: Path, form: str) -> None:
    data = written(form).encode()
    accepted = 0
    for place in range(len(data)):
        found = read(home, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        if found is not None:
            accepted += 1
            known = {name: value for name, value in found.items() if name in ENTRY and name != "seconds"}
            assert known == {name: value for name, value in ENTRY.items() if name != "seconds"}, data[place - 9 : place + 9]
    assert accepted <= len("8.767") + len("sum"), "the duration, and an entry without a sum, are not checked"


def each_change(value: Any) -> Iterator[Any]:
    """A JSON value with one value in it changed, or one left out."""
    if isinstance(value, dict):
        for name in value:
            yield from (value | {name: other} for other in each_change(value[name]))
            yield {other: kept for other, kept in value.items() if other != name}
    elif isinstance(value, list):
        yield [*value, 1]
        yield value[1:] if value else [None]
    else:
        yield f"{value}x" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("form", FORMS)
def test_every_changed_value_is_refused(home: Path, form: str) -> None:
    entry = json.loads(written(form))
    for name in set(ENTRY) - {"seconds"}:
        for other in each_change(entry[name]):
            for indent in (None, 1):
                changed = json.dumps(entry | {name: other}, indent=indent, sort_keys=form != FORMS[2])
                assert read(home, changed) is None, (name, other)
    assert read(home, json.dumps(entry | {"more": 1}, indent=1)) is None


@pytest.mark.parametrize("form", FORMS)
def test_the_duration_is_not_checked(home: Path, form: str) -> None:
    found = read(home, written(form).replace('"seconds": 8.767', '"seconds": 12.5'))
    assert found is not None
    assert found["seconds"] == 12.5


@pytest.mark.parametrize("more", [', "facts": {}', ', "files": {}', " "])
def test_nothing_is_slipped_in_behind_the_digest(home: Path, more: str) -> None:
    """Of two members of one name a reader of JSON takes the last, which must not be one that no digest covers."""
    text = format_entry(ENTRY).rstrip("\n")
    for changed in (f"{text[:-1]}{more}}}", text.replace('"seconds": 8.767', f'"seconds": 8.767{more}')):
        found = read(home, changed)
        assert found is None or without_sum(found) == ENTRY
        assert more == " " or found is None
