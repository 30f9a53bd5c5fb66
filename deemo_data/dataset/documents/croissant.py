"""croissant.json: the dataset for machines (Croissant 1.1, with the RAI vocabulary), filled from what was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.documents import statements as say
from deemo_data.dataset.documents.statements import DatasetFacts
from deemo_data.dataset.layout import TABLES

if TYPE_CHECKING:
    from datasets import Features


FILE = "croissant.json"

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

TYPES = {
    "string": "sc:Text", "bool": "sc:Boolean", "int32": "sc:Integer", "int64": "sc:Integer", "float16": "sc:Float",
    "float32": "sc:Float", "float64": "sc:Float",
}  # fmt: skip

ABOUT = {
    "clip_id": "pseudonym of the clip", "subject_id": "pseudonym of who is seen", "file_name": "the video, relative to the table",
    "events": "body language: [start, end) in milliseconds and frames of the clip's video",
    "transcript": "names are placeholders",
    "body": "flat float16: body_frames × body_people × body_points × body_dims", "record_id": "of the record",
    "consent": "as the data owner stated it", "leaks": "JSON: what the leak check saw", "provenance": "sha256 digests",
    "evidence": "events (clip_id#place in events) and spans that the record rests on", "conversations": "the LLaVA shape",
}  # fmt: skip


def document(measured: DatasetFacts, features: Mapping[str, Features], digests: Mapping[str, str]) -> dict[str, Any]:
    """The whole document. `features`: of each config; `digests`: path in the dataset -> sha256, of its tables and documents."""
    counts = measured.counts
    tables = {config: [f"{s}/{t}" for s in counts["splits"] if f"{s}/{t}" in digests] for config, t in TABLES.items()}
    head: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "deemo-body-language-and-emotion",
        "description": f"{say.TITLE}. {say.headline(counts)} De-identified, not anonymous.",
        "version": measured.version,
        "datePublished": measured.date,
        "inLanguage": "en",
        "isLiveDataset": False,
        "keywords": ["body language", "emotion recognition", "de-identification", "interviews"],
        "license": "On request, under the terms in README.md" if measured.gated else "Per clip: see the field licence",
        "url": "README.md",
    }
    return head | rai(measured) | {
        "distribution": _distribution(tables, counts, digests),
        "recordSet": [
            *(_record_set(config, features[config], found) for config, found in tables.items() if found),
            *_classes(measured),
        ],
    }  # fmt: skip


def text(measured: DatasetFacts, features: Mapping[str, Features], digests: Mapping[str, str]) -> str:
    return json.dumps(document(measured, features, digests), indent=1, ensure_ascii=False) + "\n"


def rai(measured: DatasetFacts) -> dict[str, Any]:
    """The RAI fields. What only the data owner can know is left out: annotators' demographics, the time of recording."""
    counts = measured.counts
    return {
        "rai:dataCollection": " ".join(say.collection(counts)),
        "rai:dataCollectionType": ["Secondary data analysis", "Manual human curation"],
        "rai:dataCollectionRawData": "Recordings of interviews, which stay with the data owner.",
        "rai:dataCollectionMissingData": f"{counts['annotation'].get('none', 0)} of {counts['clips']} clips were not looked "
        "at; body points and pitch are NaN where nothing was found.",
        "rai:dataPreprocessingProtocol": say.preprocessing(counts, measured.privacy),
        "rai:dataAnnotationProtocol": say.annotation(measured),
        "rai:dataAnnotationPlatform": ["Label Studio"],
        "rai:dataAnnotationAnalysis": say.agreement(measured),
        "rai:annotationsPerItem": say.per_item(counts),
        "rai:machineAnnotationTools": [
            "deemo_data: body points by MediaPipe, transcripts by Whisper, proposals of events by rules on body points"
        ],
        "rai:dataBiases": say.biases(measured),
        "rai:dataUseCases": say.use_cases(),
        "rai:dataLimitations": [*say.limits(measured), *_privacy(measured)],
        "rai:dataSocialImpact": "Systems that infer emotions can harm people. "
        + " ".join(f"Prohibited: {w}" for w in say.PROHIBITED),
        "rai:personalSensitiveInformation": say.sensitive(measured),
        "rai:dataReleaseMaintenancePlan": "Versions are numbered and have a changelog that is computed from the records. Whoever "
        "is in it may withdraw: the next version lacks their rows, and users are asked to delete the others. "
        + (f"Write to {measured.contact}." if measured.contact else "The data owner has named no address."),
    }  # fmt: skip


def _privacy(measured: DatasetFacts) -> list[str]:
    rows = say.attacks(measured.privacy)
    return [say.attacked(measured.privacy), *(f"{a.channel}, {a.attack}: {a.figure}; guessing gives {a.chance}" for a in rows)]


def _distribution(
    tables: Mapping[str, Sequence[str]], counts: Mapping[str, Any], digests: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Each table as a file with its digest; a set of tables for each config, and one of all videos."""
    files: list[dict[str, Any]] = [
        {"@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "encodingFormat": "application/x-parquet",
         "sha256": digests[path]}
        for found in tables.values() for path in found
    ]  # fmt: skip
    files += [
        {"@type": "cr:FileSet", "@id": f"{config}-tables", "name": f"{config}-tables", "encodingFormat": "application/x-parquet",
         "includes": list(found)}
        for config, found in tables.items() if found
    ]  # fmt: skip
    videos = [f"{split}/clips/*.mp4" for split in counts["splits"]]
    files.append({"@type": "cr:FileSet", "@id": "videos", "name": "videos", "encodingFormat": "video/mp4", "includes": videos,
                  "description": "Each clip's video, once; deemo.json has their digests."})  # fmt: skip
    return files


def _record_set(config: str, features: Features, tables: Sequence[str]) -> dict[str, Any]:
    """One record set for a config: its columns, and the split, which is the first part of the table's path."""
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
    """A column as a field: lists are repeated, structs have sub-fields, class names are numbers into another record set."""
    source = {"fileSet": {"@id": f"{config}-tables"}, "extract": {"column": name}}
    told: dict[str, Any] = {"@type": "cr:Field", "@id": f"{config}/{name}", "name": name}
    if name in ABOUT:
        told["description"] = ABOUT[name]
    inner = getattr(feature, "feature", feature)
    if inner is not feature:
        told["repeated"] = True
    if isinstance(inner, dict):
        return told | {
            "subField": [
                {"@type": "cr:Field", "@id": f"{config}/{name}/{part}", "name": part, **_typed(part, one),
                 "source": source | {"transform": {"jsonPath": part}}}
                for part, one in inner.items()
            ]
        }  # fmt: skip
    return told | _typed(name, inner) | {"source": source}


def _typed(name: str, feature: Any) -> dict[str, Any]:
    if hasattr(feature, "names"):
        return {"dataType": "sc:Integer", "description": f"a class, by its number: {', '.join(feature.names)}"}
    return {"dataType": TYPES[feature.dtype]}


def _classes(measured: DatasetFacts) -> list[dict[str, Any]]:
    """The vocabularies, as record sets with their rows inside."""
    classes = [{"id": c.id, "name": c.name, "group": c.group, "definition": c.definition} for c in measured.nfbl.classes]
    emotions = [{"id": n, "name": e.name, "sentiment": e.sentiment} for n, e in enumerate(measured.emotions.emotions)]
    return [_inline("body-language-classes", measured.nfbl.said, classes), _inline("emotions", measured.emotions.said, emotions)]


def _inline(name: str, said: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    fields = [{"@type": "cr:Field", "@id": f"{name}/{column}", "name": column,
               "dataType": "sc:Integer" if column == "id" else "sc:Text"} for column in rows[0]]  # fmt: skip
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name, "description": f"Vocabulary {said}.", "key": {"@id": f"{name}/id"},
        "field": fields, "data": [{f"{name}/{k}": v for k, v in row.items()} for row in rows],
    }  # fmt: skip


def faults(said: Any, counts: Mapping[str, Any], columns: Mapping[str, Sequence[str]], digests: Mapping[str, str]) -> list[str]:
    """Where a croissant.json disagrees with the dataset that it lies in. `columns`: of each config; `digests`: of its tables."""
    try:
        files = {f["contentUrl"]: f["sha256"] for f in said["distribution"] if f["@type"] == "cr:FileObject"}
        fields = {r["@id"]: {f["name"] for f in r["field"]} for r in said["recordSet"]}
        description = str(said["description"])
    except (KeyError, TypeError) as e:
        return [f"is no Croissant document of ours: {e}"]
    found = []
    for path in sorted(files.keys() | digests.keys()):
        if path not in files:
            found.append(f"does not list the table {path}")
        elif path not in digests:
            found.append(f"lists {path}, which is no table of this dataset")
        elif files[path] != digests[path]:
            found.append(f"has another digest for {path} than the file")
    for config, there in columns.items():
        said_ = fields.get(config, set()) - {"split"}
        if odd := sorted(said_ ^ set(there)):
            found.append(f"record set {config} and its tables differ in the columns {', '.join(odd)}")
    told, counted = re.search(r"\d+ clips? of .*?records?\.", description), say.headline(counts)
    if not told or told.group() != counted:
        found.append(f"says {told.group() if told else 'nothing'}, its tables say {counted}")
    return found
