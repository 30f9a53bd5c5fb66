"""README.md, the dataset card: a text for people, and front matter that the Hugging Face hub and `datasets` read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.documents import statements
from deemo_data.dataset.documents.statements import DatasetFacts
from deemo_data.dataset.layout import TABLES

if TYPE_CHECKING:
    from datasets import Features


BODY = """
# {title}

{headline} Version {version}, {date}.
Every face that was found is masked, and every voice is altered. The clips are **de-identified, not anonymous**: people who know a
subject, or who hold other recordings of them, may still recognise gait, posture, words or surroundings.

| split | clips | subjects | minutes | events | emotion records |
|---|---|---|---|---|---|
{splits}

No subject is in two splits.{warnings}

More about how it was made: `datasheet.md`; what changed since: `CHANGELOG.md`; for machines: `croissant.json`.

## Loading

```python
from datasets import Video, load_dataset

clips = load_dataset(PATH, "nfbl").cast_column("video", Video(decode=False))  # without torch: {{"path", "bytes"}}
records = load_dataset(PATH, "mer", streaming=True)["train"].decode(False)
```

With torch and torchcodec installed, leave out `decode=False` and get decoded frames. `datasets` takes `[`, `*` and `?` in PATH
for patterns: put the folder where its path has none of them. The tables are Parquet, which pandas, Polars and DuckDB read too.

## Columns

`nfbl`, one row a clip. `events`: [start, end) in milliseconds and in frames of the clip's own video, class and group
({nfbl}), how many people marked it, the share of those who looked (`agreement`, empty when one person looked),
`truncated` when the clip holds only a part. `annotation`: none, proposed (by a machine), single (one annotator),
reviewed (two or more), adjudicated. A clip with `annotation: none` has not been looked at: its empty `events` say nothing.
`body`: flat float16, to be reshaped to (`body_frames`, `body_people`, `body_points`, `body_dims`), in the unit that `body_unit`
names, z in the unit of x, NaN where nothing was found; 22 body points (BlazePose without its 11 face points), then 21 of the left
and 21 of the right hand. `body_confidence` has the same shape without the last axis. `prosody_f0`, `prosody_energy` and
`prosody_rate`: a value every 10 ms. `consent`, `licence` and `leaks` (what the leak check saw, JSON) are those of the clip;
`provenance` are sha256 digests.

`mer`, one row a record: a question about a clip's emotion and its answer, also as `conversations` in the LLaVA shape
({emotions}); `evidence` names the events (`clip_id`, #, place in `events`) and spans that it rests on. `authors`: which annotator
(a pseudonym) contributed what to the response and the clues, and how: chosen, written, edited (a draft was there), drafted. With
`status: drafted` the response is a draft of rules that a person completed with the emotion and otherwise left.

## Labels

{annotation}

{agreement}

{classes}

## Privacy

{attacked}
{attacks}

{stronger}

{stronger_attacks}

## Access

{access}

## Uses that are prohibited

{prohibited}

## Limits

{limits}
"""


def render_card(facts: DatasetFacts, features: Mapping[str, Features]) -> str:
    """The whole card. `features`: config -> columns of its tables."""
    counts = facts.counts
    limits = [*statements.limit_statements(facts), *statements.bias_statements(facts), *statements.consent_statements(counts)]
    body = BODY.format(
        title=statements.TITLE,
        headline=statements.headline(counts),
        version=facts.version,
        date=facts.date,
        splits="\n".join(statements.split_table_rows(counts)),
        warnings="".join(f"\n\n> {w[0].upper()}{w[1:]}." for w in facts.warnings),
        nfbl=facts.nfbl.versioned_name,
        emotions=facts.emotions.versioned_name,
        annotation=bullets(statements.annotation_statements(facts)),
        agreement=" ".join(statements.agreement_statements(facts.agreement)),
        classes=_class_table(counts),
        attacked=statements.audit_statement(facts.privacy),
        attacks=_attack_table(facts.privacy),
        stronger=statements.stronger_attack_statement(),
        stronger_attacks=bullets(statements.STRONGER_ATTACKS),
        access=_access_text(facts),
        prohibited=bullets(statements.PROHIBITED_USES),
        limits=bullets(limits),
    )
    return f"---\n{_front_matter(facts, features)}---\n{body}"


def bullets(lines: Sequence[str]) -> str:
    """A Markdown list. Each line begins with a capital and ends with a full stop."""
    return "\n".join(f"- {line[0].upper()}{line[1:]}{'' if line.endswith(('.', '*')) else '.'}" for line in lines)


def _class_table(counts: Mapping[str, Any]) -> str:
    if not counts["classes"]:
        return "There are no events."
    rows = sorted(counts["classes"].items(), key=lambda kv: (-kv[1]["events"], kv[0]))
    lines = [f"| {name} | {c['group']} | {c['events']} | {c['clips']} | {c['subjects']} | {c['median_ms'] / 1000:.1f} |"
             for name, c in rows]  # fmt: skip
    return "\n".join(["| class | group | events | clips | subjects | median length, s |", "|---|---|---|---|---|---|", *lines])


def _attack_table(privacy: Mapping[str, Any] | None) -> str:
    rows = [
        f"| {a.channel} | {a.attack} | {a.figure} | {a.chance} | {a.verdict} |" for a in statements.strongest_attacks(privacy)
    ]
    head = ["", "| channel | attack | reached | guessing gives | in words |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) if rows else ""


def _access_text(facts: DatasetFacts) -> str:
    contact = f"Questions, and wishes to withdraw, go to {facts.contact}." if facts.contact else statements.OWNER_ANSWERS
    licences = statements.licence_statement(facts.counts)
    if not facts.gated:
        return f"Whoever can read this may load it. {licences}\n\nWhom to write to: {contact}"
    return f"On request. {licences} The terms:\n\n{_terms(facts)}\n\nWhom to write to: {contact}"


def _terms(facts: DatasetFacts) -> str:
    return facts.terms.strip() or statements.DEFAULT_TERMS


def _front_matter(facts: DatasetFacts, features: Mapping[str, Features]) -> str:
    """YAML: the configs with their data files, the types of their columns, and the form that the hub shows to those who ask."""
    import yaml
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo, Video
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    counts = facts.counts
    configs: list[dict[str, Any]] = []
    infos = {}
    for config, key in (("nfbl", "clips"), ("mer", "records")):
        splits = {s: row[key] for s, row in counts["splits"].items() if row[key]}
        if not splits:
            continue
        files = [{"split": s, "path": [f"{s}/{TABLES[config]}", f"{s}/clips/*.mp4"]} for s in splits]
        head = {"config_name": config} | ({"default": True} if config == "nfbl" else {})
        configs.append(head | {"drop_labels": True, "data_files": files})
        loaded = {"video" if n == "file_name" else n: Video() if n == "file_name" else f for n, f in features[config].items()}
        rows = SplitDict({s: SplitInfo(name=s, num_bytes=0, num_examples=n) for s, n in splits.items()})
        infos[config] = DatasetInfo(config_name=config, features=Features(loaded), splits=rows)
    card_data = DatasetCardData()
    DatasetInfosDict(infos).to_dataset_card_data(card_data)
    size = next(f"n<{top}" if low is None else f"{low}<n<{top}" for low, top, limit in SIZE_CATEGORIES if counts["clips"] < limit)
    front_matter: dict[str, Any] = {
        "pretty_name": statements.TITLE,
        "license": "other",
        "license_name": "on-request" if facts.gated else "per-clip",
        "task_categories": ["video-classification", "video-text-to-text"],
        "tags": ["de-identification", "body-language", "emotion-recognition", "croissant"],
        "size_categories": [size],
    }
    if facts.gated:
        front_matter["extra_gated_heading"] = "These are recordings of people: please say who asks, and agree to the terms"
        front_matter["extra_gated_prompt"] = _terms(facts)
        front_matter["extra_gated_fields"] = statements.ACCESS_FORM_FIELDS
        front_matter["extra_gated_button_content"] = "Agree and ask for access"
    front_matter |= {"configs": configs, "dataset_info": card_data.get("dataset_info")}
    return str(yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True, width=120))


SIZE_CATEGORIES = (
    (None, "1K", 10**3),
    ("1K", "10K", 10**4),
    ("10K", "100K", 10**5),
    ("100K", "1M", 10**6),
    ("1M", "10M", 10**12),
)
