"""croissant.json: the description of a dataset for machines, in Croissant 1.1 with the RAI vocabulary (responsible AI).

`build_croissant` makes the document from what was counted and measured; `find_croissant_faults` compares one with its dataset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.documents import statements
from deemo_data.dataset.documents.statements import DatasetFacts
from deemo_data.dataset.layout import TABLES

if TYPE_CHECKING:
    from datasets import Features


CROISSANT_FILE = "croissant.json"

CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "dct": "http://purl.org/dc/terms/", "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "equivalentProperty": "cr:equivalentProperty", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip

CROISSANT_TYPES = {
    "string": "sc:Text", "bool": "sc:Boolean", "int32": "sc:Integer", "int64": "sc:Integer", "float16": "sc:Float",
    "float32": "sc:Float", "float64": "sc:Float",
}  # fmt: skip

COLUMN_DESCRIPTIONS = {
    "clip_id": "pseudonym of the clip", "subject_id": "pseudonym of who is seen", "file_name": "the video, relative to the table",
    "events": "body language: [start, end) in milliseconds and frames of the clip's video",
    "transcript": "names are placeholders",
    "body": "flat float16: body_frames × body_people × body_points × body_dims", "record_id": "of the record",
    "consent": "as the data owner stated it", "leaks": "JSON: what the leak check saw", "provenance": "sha256 digests",
    "evidence": "events (clip_id#place in events) and spans that the record rests on", "conversations": "the LLaVA shape",
    "authors": "which annotator (pseudonym) contributed what to the response and the clues, and how",
}  # fmt: skip


def build_croissant(facts: DatasetFacts, features: Mapping[str, Features], digests: Mapping[str, str]) -> dict[str, Any]:
    """The whole document.

    features  config -> columns of its tables
    digests   path in the dataset -> sha256 of the tables
    """
    counts = facts.counts
    tables = {config: [f"{s}/{t}" for s in counts["splits"] if f"{s}/{t}" in digests] for config, t in TABLES.items()}
    head: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "deemo-body-language-and-emotion",
        "description": f"{statements.TITLE}. {statements.headline(counts)} De-identified, not anonymous.",
        "version": facts.version,
        "datePublished": facts.date,
        "inLanguage": "en",
        "isLiveDataset": False,
        "keywords": ["body language", "emotion recognition", "de-identification", "interviews"],
        "license": "On request, under the terms in README.md" if facts.gated else "Per clip: see the field licence",
        "url": "README.md",
    }
    return head | rai_fields(facts) | {
        "distribution": _distribution(tables, counts, digests),
        "recordSet": [
            *(_record_set(config, features[config]) for config, paths in tables.items() if paths),
            *_vocabulary_record_sets(facts),
        ],
    }  # fmt: skip


def render_croissant(facts: DatasetFacts, features: Mapping[str, Features], digests: Mapping[str, str]) -> str:
    return json.dumps(build_croissant(facts, features, digests), indent=1, ensure_ascii=False) + "\n"


def rai_fields(facts: DatasetFacts) -> dict[str, Any]:
    """The RAI fields. Those that only the data owner can answer are left out: annotators' demographics, time of recording."""
    counts = facts.counts
    return {
        "rai:dataCollection": " ".join(statements.collection_statements(counts)),
        "rai:dataCollectionType": ["Secondary data analysis", "Manual human curation"],
        "rai:dataCollectionRawData": "Recordings of interviews, which stay with the data owner.",
        "rai:dataCollectionMissingData": f"{counts['annotation'].get('none', 0)} of {counts['clips']} clips were not looked "
        "at; body points and pitch are NaN where nothing was found.",
        "rai:dataPreprocessingProtocol": statements.preprocessing_statements(counts, facts.privacy),
        "rai:dataAnnotationProtocol": statements.annotation_statements(facts),
        "rai:dataAnnotationPlatform": ["Label Studio"],
        "rai:dataAnnotationAnalysis": statements.agreement_statements(facts.agreement),
        "rai:annotationsPerItem": statements.annotators_per_clip_statement(counts),
        "rai:machineAnnotationTools": [
            "deemo_data: body points by MediaPipe, transcripts by Whisper, proposals of events by rules on body points"
        ],
        "rai:dataBiases": statements.bias_statements(facts),
        "rai:dataUseCases": statements.use_case_statements(),
        "rai:dataLimitations": [*statements.limit_statements(facts), *_privacy_statements(facts)],
        "rai:dataSocialImpact": "Systems that infer emotions can harm people. "
        + " ".join(f"Prohibited: {w}" for w in statements.PROHIBITED_USES),
        "rai:personalSensitiveInformation": statements.sensitivity_statements(facts),
        "rai:dataReleaseMaintenancePlan": "Versions are numbered and have a changelog that is computed from the records. Whoever "
        "is in it may withdraw: the next version lacks their rows, and users are asked to delete the others. "
        + (f"Write to {facts.contact}." if facts.contact else "The data owner has named no address."),
    }  # fmt: skip


def _privacy_statements(facts: DatasetFacts) -> list[str]:
    attacks = statements.strongest_attacks(facts.privacy)
    return [
        statements.audit_statement(facts.privacy),
        *(f"{a.channel}, {a.attack}: {a.figure}; guessing gives {a.chance}" for a in attacks),
    ]


def _distribution(
    tables: Mapping[str, Sequence[str]], counts: Mapping[str, Any], digests: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Each table as a file with its digest, the tables of each config as a set, and the videos as a set."""
    files: list[dict[str, Any]] = [
        {"@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "encodingFormat": "application/x-parquet",
         "sha256": digests[path]}
        for paths in tables.values() for path in paths
    ]  # fmt: skip
    files += [
        {"@type": "cr:FileSet", "@id": f"{config}-tables", "name": f"{config}-tables", "encodingFormat": "application/x-parquet",
         "includes": list(paths)}
        for config, paths in tables.items() if paths
    ]  # fmt: skip
    videos = [f"{split}/clips/*.mp4" for split in counts["splits"]]
    files.append({"@type": "cr:FileSet", "@id": "videos", "name": "videos", "encodingFormat": "video/mp4", "includes": videos,
                  "description": "Each clip's video, once; deemo.json has their digests."})  # fmt: skip
    return files


def _record_set(config: str, features: Features) -> dict[str, Any]:
    """The record set of a config: its columns, and the split, which is the first part of a table's path."""
    key = "clip_id" if config == "nfbl" else "record_id"
    split = {
        "@type": "cr:Field", "@id": f"{config}/split", "name": "split", "dataType": ["sc:Text", "cr:Split"],
        "source": {"fileSet": {"@id": f"{config}-tables"}, "extract": {"fileProperty": "fullpath"},
                   "transform": {"regex": "^([a-z]+)/.*$"}},
    }  # fmt: skip
    return {
        "@type": "cr:RecordSet", "@id": config, "name": config, "key": {"@id": f"{config}/{key}"},
        "description": "One row a clip." if config == "nfbl" else "One row a question about a clip's emotion, and its answer.",
        "field": [split, *(_field(config, name, feature) for name, feature in features.items())],
    }  # fmt: skip


def _field(config: str, name: str, feature: Any) -> dict[str, Any]:
    """A column as a field. Lists are repeated, structs have sub-fields, classes are numbers that another record set explains."""
    source = {"fileSet": {"@id": f"{config}-tables"}, "extract": {"column": name}}
    field: dict[str, Any] = {"@type": "cr:Field", "@id": f"{config}/{name}", "name": name}
    if name in COLUMN_DESCRIPTIONS:
        field["description"] = COLUMN_DESCRIPTIONS[name]
    inner = getattr(feature, "feature", feature)
    if inner is not feature:
        field["repeated"] = True
    if isinstance(inner, dict):
        return field | {
            "subField": [
                {"@type": "cr:Field", "@id": f"{config}/{name}/{part}", "name": part, **_data_type(part, one),
                 "source": source | {"transform": {"jsonPath": part}}}
                for part, one in inner.items()
            ]
        }  # fmt: skip
    return field | _data_type(name, inner) | {"source": source}


def _data_type(name: str, feature: Any) -> dict[str, Any]:
    if hasattr(feature, "names"):
        return {"dataType": "sc:Integer", "description": f"a class, by its number: {', '.join(feature.names)}"}
    return {"dataType": CROISSANT_TYPES[feature.dtype]}


def _vocabulary_record_sets(facts: DatasetFacts) -> list[dict[str, Any]]:
    """The vocabularies as record sets that hold their rows themselves."""
    classes = [{"id": c.id, "name": c.name, "group": c.group, "definition": c.definition} for c in facts.nfbl.classes]
    emotions = [{"id": n, "name": e.name, "sentiment": e.sentiment} for n, e in enumerate(facts.emotions.emotions)]
    return [
        _inline_record_set("body-language-classes", facts.nfbl.versioned_name, classes),
        _inline_record_set("emotions", facts.emotions.versioned_name, emotions),
    ]


def _inline_record_set(name: str, vocabulary: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    fields = [{"@type": "cr:Field", "@id": f"{name}/{column}", "name": column,
               "dataType": "sc:Integer" if column == "id" else "sc:Text"} for column in rows[0]]  # fmt: skip
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name, "description": f"Vocabulary {vocabulary}.",
        "key": {"@id": f"{name}/id"}, "field": fields, "data": [{f"{name}/{k}": v for k, v in row.items()} for row in rows],
    }  # fmt: skip


def find_croissant_faults(
    document: Any, counts: Mapping[str, Any], columns: Mapping[str, Sequence[str]], digests: Mapping[str, str]
) -> list[str]:
    """Where a croissant.json disagrees with the dataset that it lies in.

    columns  config -> columns of its tables
    digests  path of a table -> sha256
    """
    try:
        files = {f["contentUrl"]: f["sha256"] for f in document["distribution"] if f["@type"] == "cr:FileObject"}
        fields = {r["@id"]: {f["name"] for f in r["field"]} for r in document["recordSet"]}
        description = str(document["description"])
    except (KeyError, TypeError) as e:
        return [f"is no Croissant document of ours: {e}"]
    faults = []
    for path in sorted(files.keys() | digests.keys()):
        if path not in files:
            faults.append(f"does not list the table {path}")
        elif path not in digests:
            faults.append(f"lists {path}, which is no table of this dataset")
        elif files[path] != digests[path]:
            faults.append(f"has another digest for {path} than the file")
    for config, names in columns.items():
        described = fields.get(config, set()) - {"split"}
        if different := sorted(described ^ set(names)):
            faults.append(f"record set {config} and its tables differ in the columns {', '.join(different)}")
    stated, counted = re.search(r"\d+ clips? of .*?records?\.", description), statements.headline(counts)
    if not stated or stated.group() != counted:
        faults.append(f"says {stated.group() if stated else 'nothing'}, its tables say {counted}")
    return faults
