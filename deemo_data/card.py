"""The dataset's README.md: front matter that the loader reads, and what people must know before using it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deemo_data.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    from datasets import Features

    from deemo_data.release import SafeClip

TABLES = {"nfbl": "metadata.parquet", "mer": "clips/metadata.parquet"}  # config -> where its table lies in a split's folder
MANIFEST = "deemo.json"

BODY = """
# Body language and emotion in de-identified interviews

{clips} clips of {subjects} subjects, {minutes:.1f} minutes, {events} body-language events, {records} emotion records.
Every face that was found is masked, and every voice is altered. The clips are **de-identified, not anonymous**: people who know a
subject, or who hold other recordings of them, may still recognise gait, posture, words or surroundings.

| split | clips | subjects | emotion records |
|---|---|---|---|
{table}

No subject is in two splits.{warnings}

## Loading

```python
from datasets import Video, load_dataset

clips = load_dataset(PATH, "nfbl").cast_column("video", Video(decode=False))  # without torch: {{"path", "bytes"}}
records = load_dataset(PATH, "mer", streaming=True)["train"].decode(False)
```

With torch and torchcodec installed, leave out `decode=False` and get decoded frames.

## Columns

`nfbl`, one row a clip. `events`: [start, end) in milliseconds and in frames of the clip's own video, class and group
({vocabulary}), how many people marked it, the share of those who looked (`agreement`, empty when one person looked),
`truncated` when the clip holds only a part. `annotation`: none, proposed (by a machine), single (one annotator),
reviewed (two or more), adjudicated. A clip with `annotation: none` has not been looked at: its empty `events` say nothing.
`body`: flat float16, to be reshaped to (`body_frames`, `body_people`, `body_points`, `body_dims`): x and y as shares of
width and height, z in the unit of x, NaN where nothing was found; 22 body points (BlazePose without its 11 face points),
then 21 of the left and 21 of the right hand. `body_confidence` has the same shape without the last axis.
`consent`, `licence` and `leaks` (what the leak check saw, JSON) are those of the clip; `provenance` are sha256 digests.

`mer`, one row a record: a question about a clip's emotion and its answer, also as `conversations` in the LLaVA shape
({emotions}).

## Uses that are prohibited

- Inferring emotions of people at work or in education: Article 5(1)(f) of the EU AI Act prohibits such systems.
- Any attempt to find out who the subjects are, to undo the masks or the altered voices, or to link the clips with
  other recordings.
- Decisions about a person: hiring, insurance, policing, border control, credit.

## Limits

Labels are what annotators saw in masked video, not what the subject felt. Classes whose sign lies on the face
({hidden}) cannot be checked by eye. Consent is recorded as the data owner stated it{asserted}.
"""


def text(
    clips: Sequence[SafeClip],
    counts: dict[str, dict[str, int]],
    events: int,
    features: dict[str, Features],
    nfbl: Nfbl,
    emotions: Emotions,
    subjects_of: dict[str, int],
    warnings: Sequence[str],
) -> str:
    """The whole card. `counts`: config -> split -> rows; `subjects_of`: split -> how many subjects."""
    milliseconds = sum(c.end_ms - c.start_ms for c in clips)
    lines = [f"| {s} | {n} | {subjects_of[s]} | {counts['mer'].get(s, 0)} |" for s, n in counts["nfbl"].items()]
    hidden = ", ".join(c.name.lower() for c in nfbl.classes if not c.visible_after_masking) or "none of this vocabulary"
    asserted = sum(bool((c.facts.get("consent") or {}).get("asserted")) for c in clips)
    said = BODY.format(
        clips=len(clips),
        subjects=sum(subjects_of.values()),
        minutes=milliseconds / 60000,
        events=events,
        records=sum(counts["mer"].values()),
        table="\n".join(lines),
        warnings="".join(f"\n\n> {w[0].upper()}{w[1:]}." for w in warnings),
        vocabulary=nfbl.said,
        emotions=emotions.said,
        hidden=hidden,
        asserted=f"; for {asserted} of {len(clips)} clips by one statement for all sources" if asserted else "",
    )
    return f"---\n{_front_matter(counts, features, len(clips))}---\n{said}"


def _front_matter(counts: dict[str, dict[str, int]], features: dict[str, Features], size: int) -> str:
    """Configs with their data files, and typed features: what load_dataset and the Hub read."""
    import yaml
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo, Video
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    configs: list[dict[str, Any]] = []
    infos = {}
    for config, splits in counts.items():
        if not splits:
            continue
        files = [{"split": s, "path": [f"{s}/{TABLES[config]}", f"{s}/clips/*.mp4"]} for s in splits]
        head = {"config_name": config} | ({"default": True} if config == "nfbl" else {})
        configs.append(head | {"drop_labels": True, "data_files": files})
        named = {"video" if n == "file_name" else n: Video() if n == "file_name" else f for n, f in features[config].items()}
        rows = SplitDict({s: SplitInfo(name=s, num_bytes=0, num_examples=n) for s, n in splits.items()})
        infos[config] = DatasetInfo(config_name=config, features=Features(named), splits=rows)
    typed = DatasetCardData()
    DatasetInfosDict(infos).to_dataset_card_data(typed)
    bound = next(f"n<{top}" if low is None else f"{low}<n<{top}" for low, top, most in SIZES if size < most)
    front = {
        "license": "other",
        "license_name": "per-clip",
        "task_categories": ["video-classification", "video-text-to-text"],
        "tags": ["de-identification", "body-language", "emotion-recognition"],
        "size_categories": [bound],
        "configs": configs,
        "dataset_info": typed.get("dataset_info"),
    }
    return str(yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120))


SIZES = ((None, "1K", 10**3), ("1K", "10K", 10**4), ("10K", "100K", 10**5), ("100K", "1M", 10**6), ("1M", "10M", 10**12))
