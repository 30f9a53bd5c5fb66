"""Plans an export: which clips go into which split, with which labels. It writes nothing.

`plan_export` turns clips and labels into an `ExportPlan`. writer.py writes the videos and tables of a plan, documents.py the
documents about them; export.py calls the three in this order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.dataset import near_duplicates, versions
from deemo_data.dataset.export.account import explain_left_out, explain_replaced
from deemo_data.dataset.export.settings import ExportSettings
from deemo_data.dataset.export.splits import SplitShares, assign_splits, weigh_subjects
from deemo_data.dataset.layout import MANIFEST, snapshot_path
from deemo_data.dataset.near_duplicates import NearDuplicate
from deemo_data.dataset.tables import mer_features, nfbl_features
from deemo_data.labels.placing import drop_repeated, group_by_clip
from deemo_data.labels.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    from datasets import Features

    from deemo_data.clip import SafeClip
    from deemo_data.labels.label import Label


@dataclass(frozen=True)
class DocumentInputs:
    """What the documents of a dataset report about a project, apart from its clips and labels.

    agreement, privacy  out/agreement.json and out/privacy.json, if they were measured
    tombstones  the project's withdrawn.jsonl: dates, and how many clips were withdrawn
    date        of this version, if it becomes a new one; empty: today
    """

    agreement: Mapping[str, Any] | None = None
    privacy: Mapping[str, Any] | None = None
    tombstones: Sequence[versions.Tombstone] = ()
    date: str = ""


@dataclass(frozen=True)
class ExportPlan:
    """Everything that one export decides before it writes.

    out             the dataset folder
    clips           released clips, in order of their ids
    labels_of_clip  clip id -> labels that touch the clip
    features        config -> columns of its tables
    split_of        subject -> split
    hashes          start of a video's sha256 -> perceptual hash of the video
    near_duplicates  pairs of clips of different subjects that show the same
    previous        snapshot of the previous version; empty for the first
    left_out        lines about the labels that are not exported (account.py)
    """

    out: Path
    clips: Sequence[SafeClip]
    labels_of_clip: Mapping[str, Sequence[Label]]
    nfbl: Nfbl
    emotions: Emotions
    settings: ExportSettings
    inputs: DocumentInputs
    features: Mapping[str, Features]
    split_of: Mapping[str, str]
    hashes: Mapping[str, str]
    near_duplicates: Sequence[NearDuplicate]
    previous: versions.Snapshot
    left_out: Sequence[str]

    def clips_of_split(self, split: str) -> list[SafeClip]:
        return [clip for clip in self.clips if self.split_of[clip.facts["subject"]] == split]


def plan_export(
    clips: Sequence[SafeClip], labels: Sequence[Label], out: Path, *, nfbl: Nfbl, emotions: Emotions,
    settings: ExportSettings, inputs: DocumentInputs,
) -> ExportPlan:  # fmt: skip
    """Decide what `out` will hold. It reads the videos that have no perceptual hash in the manifest yet."""
    clips = sorted(clips, key=lambda clip: clip.id)
    once = drop_repeated(labels)
    repeated = len(labels) - len(once)
    labels, labels_of_clip = once, group_by_clip(once, clips)
    left_out = [*explain_left_out(labels, clips, nfbl), *explain_replaced(clips, labels_of_clip)]
    left_out += [f"events left out since the same person marked them twice in one place: {repeated}"] if repeated else []
    manifest, previous = _read_previous(out)
    hashes, pairs = _find_near_duplicates(clips, manifest.get("looks", {}), settings)
    return ExportPlan(
        out=out,
        clips=clips,
        labels_of_clip=labels_of_clip,
        nfbl=nfbl,
        emotions=emotions,
        settings=settings,
        inputs=inputs,
        features={"nfbl": nfbl_features(nfbl), "mer": mer_features(emotions)},
        split_of=_assign_splits(clips, labels, emotions, pairs, previous, settings),
        hashes=hashes,
        near_duplicates=pairs,
        previous=previous,
        left_out=left_out,
    )


def _read_previous(out: Path) -> tuple[dict[str, Any], versions.Snapshot]:
    """(manifest, snapshot) of the previous version.

    A dataset that was taken back has no manifest; its snapshot lies beside the folder.
    """
    try:
        manifest = dict(json.loads((out / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}, versions.read_snapshot(snapshot_path(out))
    return manifest, versions.read_snapshot(out / MANIFEST)


def _find_near_duplicates(
    clips: Sequence[SafeClip], earlier: Mapping[str, str], settings: ExportSettings
) -> tuple[dict[str, str], list[NearDuplicate]]:
    """(start of a video's sha256 -> perceptual hash, pairs of near duplicates). Videos with an `earlier` hash are not read."""
    keys = {clip.id: clip.files["video"].sha256[:16] for clip in clips}
    hashes: dict[str, str] = {}
    if settings.alike:
        hashes = {key: earlier[key] for key in keys.values() if key in earlier}
        new = {keys[clip.id]: clip.files["video"].path for clip in clips if keys[clip.id] not in hashes}
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            hashes |= dict(zip(new, pool.map(near_duplicates.perceptual_hash, new.values()), strict=True))
    hash_of_clip = {clip: hashes.get(key, "") for clip, key in keys.items()}
    return hashes, near_duplicates.find_near_duplicates(clips, hash_of_clip, settings.alike)


def _assign_splits(
    clips: Sequence[SafeClip], labels: Sequence[Label], emotions: Emotions, pairs: Sequence[NearDuplicate],
    previous: versions.Snapshot, settings: ExportSettings,
) -> dict[str, str]:  # fmt: skip
    """Subject -> split."""
    weights = weigh_subjects(clips, labels, emotions)
    earlier = {}
    if settings.keep_splits:
        earlier = {s: previous.splits[key] for s in weights if (key := versions.short_hash(s)) in previous.splits}
    shares = SplitShares(settings.seed, settings.validation, settings.test)
    return assign_splits(weights, shares, [pair.subjects for pair in pairs], earlier)
