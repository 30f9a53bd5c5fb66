"""An export plan decides everything, and writes nothing."""

from __future__ import annotations

from pathlib import Path

from deemo_data.dataset.export.plan import DocumentInputs, plan_export
from deemo_data.dataset.export.settings import ExportSettings
from tests.makers.datasets import EMOTIONS, NFBL, export_clips, make_clip, make_event_label


def test_a_plan_says_what_goes_where(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(4)]
    labels = [make_event_label(clips[2], 2, 8), make_event_label(clips[1], 2, 8, "brow raise")]
    out = tmp_path / "dataset"
    plan = plan_export(clips[::-1], labels, out, nfbl=NFBL, emotions=EMOTIONS, settings=ExportSettings(), inputs=DocumentInputs())
    assert plan.clips == clips
    assert plan.labels_of_clip[clips[2].id] == labels[:1]
    assert plan.left_out == [f"nfbl 'brow raise' of {clips[1].id} is not in vocabulary imigue-32 1"]
    assert sorted(c.id for s in ("train", "validation", "test") for c in plan.clips_of_split(s)) == [c.id for c in clips]
    assert plan.previous.version == ""
    assert not out.exists()


def test_a_plan_remembers_the_previous_version(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(4)]
    result = export_clips(clips[:3], [], tmp_path / "dataset")
    plan = plan_export(
        clips, [], tmp_path / "dataset", nfbl=NFBL, emotions=EMOTIONS, settings=ExportSettings(seed=9), inputs=DocumentInputs()
    )
    assert plan.previous.version == result.version
    assert {split: len(plan.clips_of_split(split)) for split in ("validation", "test")} == {"validation": 1, "test": 1}
