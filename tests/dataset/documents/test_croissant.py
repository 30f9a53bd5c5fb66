"""croissant.json: valid by mlcroissant, both configs readable by it without a network, RAI fields from measurement."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deemo_data.dataset import counts, layout
from deemo_data.dataset.documents import croissant
from deemo_data.files import File
from tests.makers.documents import build_dataset

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # rdflib's, inside mlcroissant

mlcroissant = pytest.importorskip("mlcroissant")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_dataset(tmp_path_factory.mktemp("croissant"))


@pytest.fixture(scope="module")
def opened(folder: Path) -> Any:
    logging.disable(logging.WARNING)
    yield mlcroissant.Dataset(str(folder / "croissant.json"))
    logging.disable(logging.NOTSET)


@pytest.fixture
def document(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "croissant.json").read_text())
    assert isinstance(found, dict)
    return found


def test_mlcroissant_finds_no_fault(opened: Any) -> None:
    issues = opened.metadata.ctx.issues
    assert issues.errors == set()
    assert [w for w in issues.warnings if "citeAs" not in w] == []


def plain(value: Any) -> Any:
    """What mlcroissant reads, in the types of our tables: text comes as bytes, and field names with all their parents."""
    if isinstance(value, dict):
        return {k.rsplit("/", 1)[1]: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("config", ["nfbl", "mer"])
def test_every_record_is_read_as_it_is_in_the_tables(folder: Path, opened: Any, config: str) -> None:
    name = "metadata.parquet" if config == "nfbl" else "clips/metadata.parquet"
    key = "clip_id" if config == "nfbl" else "record_id"
    wanted = {}
    for split in ("train", "validation", "test"):
        for row in pq.read_table(folder / split / name).to_pylist():
            wanted[row[key]] = {k: v for k, v in row.items() if k not in layout.FLOAT16_COLUMNS} | {"split": split}
    found = {}
    for record in opened.records(config):
        row = plain(record)
        if config == "nfbl":
            assert len(row["body"]) == 20 * 64 * 3
            assert len(row["prosody_f0"]) == 67
        found[row[key]] = {k: v for k, v in row.items() if k not in layout.FLOAT16_COLUMNS}
    assert found.keys() == wanted.keys()
    for ident, row in wanted.items():
        assert {k: v for k, v in found[ident].items() if k != "events"} == {k: v for k, v in row.items() if k != "events"}
        events = [{k: None if v != v else v for k, v in e.items()} for e in found[ident].get("events", [])]
        assert events == row.get("events", [])


def test_vocabularies_are_in_it(opened: Any) -> None:
    classes = [plain(r) for r in opened.records("body-language-classes")]
    assert len(classes) == 32
    assert classes[16]["name"] == "Folding arms"
    assert next(plain(r)["name"] for r in opened.records("emotions")) == "happy"


def test_rai_fields_say_what_was_measured(document: dict[str, Any]) -> None:
    assert document["rai:annotationsPerItem"] == "Of 6 clips: 1 clips with none, 1 clips with one, 4 clips with two or more."
    assert "6 clips of 5 subjects" in document["rai:dataCollection"]
    assert any("Always answering 'happy' is right for 80%" in s for s in document["rai:dataBiases"])
    assert any("2 annotators; 4 of 6 clips" in s for s in document["rai:dataAnnotationAnalysis"])
    assert any(s.startswith("Face, dlib, parrot: rank-1: 75 % (60 % to 90 %") for s in document["rai:dataLimitations"])
    assert any("test media" in s for s in document["rai:personalSensitiveInformation"])
    assert any("Article 5(1)(f)" in s for s in document["rai:dataUseCases"])
    assert "rai:annotatorDemographics" not in document, "nobody measured that"
    empty = [k for k, v in document.items() if k.startswith("rai:") and not v]
    assert empty == []


def test_digests_are_those_of_the_tables(folder: Path, document: dict[str, Any]) -> None:
    files = {f["contentUrl"]: f["sha256"] for f in document["distribution"] if f["@type"] == "cr:FileObject"}
    assert files.keys() == {p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet")}
    assert all(File.of(folder / n).sha256 == digest for n, digest in files.items())


def test_a_dataset_without_records_is_valid_too(tmp_path: Path) -> None:
    from tests.makers.datasets import export_clips, make_clip

    export_clips([make_clip(tmp_path / "released", 0)], [], tmp_path / "d")
    logging.disable(logging.WARNING)
    found = mlcroissant.Dataset(str(tmp_path / "d/croissant.json"))
    logging.disable(logging.NOTSET)
    assert found.metadata.ctx.issues.errors == set()
    assert len(list(found.records("nfbl"))) == 1


def test_faults_are_told(folder: Path, document: dict[str, Any]) -> None:
    counted = counts.count_dataset(folder)
    columns = {c: pq.read_schema(folder / "train" / n).names
               for c, n in (("nfbl", "metadata.parquet"), ("mer", "clips/metadata.parquet"))}  # fmt: skip
    digests = {p.relative_to(folder).as_posix(): File.of(p).sha256 for p in folder.rglob("*.parquet")}
    assert croissant.find_croissant_faults(document, counted, columns, digests) == []
    assert croissant.find_croissant_faults({}, counted, columns, digests) == ["is no Croissant document of ours: 'distribution'"]
    fewer = {n: d for n, d in digests.items() if n != "test/metadata.parquet"}
    assert croissant.find_croissant_faults(document, counted, columns, fewer) == [
        "lists test/metadata.parquet, which is no table of this dataset"
    ]
    more = digests | {"other/metadata.parquet": "0" * 64}
    assert croissant.find_croissant_faults(document, counted, columns, more) == ["does not list the table other/metadata.parquet"]
