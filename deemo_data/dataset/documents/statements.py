"""Sentences about a dataset, made from what was counted and measured in it.

Card, datasheet and Croissant file use the same sentences, so that they cannot contradict each other. What nobody measured is not
claimed. Their wording is part of every published dataset: a changed word gives each dataset a new version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deemo_data.dataset.layout import SPLITS
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.reports import privacy_verdict

OWNER_ANSWERS = "*To be answered by the data owner.*"

TITLE = "Body language and emotion in de-identified interviews"

PROHIBITED_USES = (
    "Inferring emotions of people at work or in education: Article 5(1)(f) of the EU AI Act prohibits such systems.",
    "Any attempt to find out who the subjects are, to undo the masks or the altered voices, or to link the clips with other "
    "recordings.",
    "Decisions about a person: hiring, insurance, policing, border control, credit.",
)

DEFAULT_TERMS = """\
You ask for recordings of people, de-identified and not more than that. By asking you agree:

1. to use them for research on body language and emotion, and for nothing else;
2. not to try to find out who anybody in them is, not to undo masks or altered voices, not to link them with other recordings;
3. not to use them, or models trained on them, to infer emotions of people at work or in education, or to decide about a person;
4. not to pass them on, whole or in part; whoever needs them asks here;
5. to delete your copies when you are told that somebody withdrew, or that a version was replaced;
6. to tell us at once when you recognise somebody, or believe that others could."""

ACCESS_FORM_FIELDS = {
    "Name": "text",
    "Affiliation": "text",
    "Country": "country",
    "What you will use it for": "text",
    "I agree to the terms above": "checkbox",
    "I will delete my copies when I am told that somebody withdrew": "checkbox",
}


@dataclass(frozen=True)
class DatasetFacts:
    """Everything that the documents of a dataset are made from.

    counts     counts.count_dataset of its tables
    nfbl, emotions  the vocabularies of its labels
    agreement  out/agreement.json, if agreement was measured
    privacy    out/privacy.json, if an audit was run
    warnings   warnings of the export
    version, date  of the dataset
    contact, terms, gated  settings of [export]
    """

    counts: Mapping[str, Any]
    nfbl: Nfbl
    emotions: Emotions
    agreement: Mapping[str, Any] | None = None
    privacy: Mapping[str, Any] | None = None
    warnings: Sequence[str] = ()
    version: str = "1.0.0"
    date: str = "1970-01-01"
    contact: str = ""
    terms: str = ""
    gated: bool = True


def headline(counts: Mapping[str, Any]) -> str:
    """The size of a dataset in one sentence; `deemo validate` looks for it in the card."""
    return (
        f"{count_noun(counts['clips'], 'clip')} of {count_noun(counts['subjects'], 'subject')}, "
        f"{counts['seconds'] / 60:.1f} minutes, "
        f"{count_noun(counts['events'], 'body-language event')}, {count_noun(counts['records'], 'emotion record')}."
    )


def ordered_splits(counts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(split, its counts) of the splits that have rows: train, validation, test."""
    return [(s, counts["splits"][s]) for s in SPLITS if s in counts["splits"]]


def split_table_rows(counts: Mapping[str, Any]) -> list[str]:
    """The rows of the card's table of splits; `deemo validate` looks for them."""
    return [
        f"| {s} | {row['clips']} | {row['subjects']} | {row['seconds'] / 60:.1f} | {row['events']} | {row['records']} |"
        for s, row in ordered_splits(counts)
    ]


def collection_statements(counts: Mapping[str, Any]) -> list[str]:
    """How many clips and subjects there are, who is assumed, and what the videos are like."""
    sentences = [f"Clips were cut from recordings that the data owner gave: {headline(counts)}"]
    if counts["subjects_assumed"]:
        share = f"{counts['subjects_assumed']} of {counts['subjects']}"
        sentences.append(f"For {share} subjects nobody said who is seen: one a recording was assumed.")
    rates = ", ".join(f"{_format_rate(r)} ({n})" for r, n in sort_by_count(counts["rates"]))
    sentences.append(f"Frames a second, with the number of clips: {rates}. Pixels: {_list_counts(counts['sizes'])}.")
    return sentences


def consent_statements(counts: Mapping[str, Any]) -> list[str]:
    """The recorded statements of consent, and for how many clips one statement stands for all recordings."""
    sentences = [
        f"Consent as the data owner recorded it, with the number of clips: {_list_counts(counts['consent'], quote=True)}."
    ]
    if counts["asserted"]:
        sentences.append(
            f"For {counts['asserted']} of {counts['clips']} clips it is one statement that was given for all recordings."
        )
    return sentences


def licence_statement(counts: Mapping[str, Any]) -> str:
    """The licences of the recordings."""
    clips_of_licence = {name or "none stated": n for name, n in counts["licences"].items()}
    return f"Licences of the recordings, with the number of clips: {_list_counts(clips_of_licence, quote=True)}."


def preprocessing_statements(counts: Mapping[str, Any], privacy: Mapping[str, Any] | None) -> list[str]:
    """How the clips were de-identified, checked for leaks and transcribed."""
    leaks = counts["leaks"]
    sentences = [
        "Every face that was found is masked, every voice is altered, tags of the files are stripped, and body points carry none "
        "of the face."
    ]
    if privacy:
        sentences.append(f"The settings began as the profile {privacy['profile']} of deemo_data.")
    sentences.append(f"A leak check looked for faces in {leaks['looked_at']} frames of the finished videos: in "
                f"{leaks['with_a_face']} it found a face (such clips are withheld), and {leaks['not_confirmed']} suspicions were "
                "not confirmed.")  # fmt: skip
    sentences.append(f"Transcripts are by speech recognition, of {counts['transcripts']} of {counts['clips']} clips; in them "
                f"{count_noun(counts['names'], 'name')} gave way to placeholders. They have the mistakes that such recognition "
                "makes.")  # fmt: skip
    return sentences


def annotation_statements(facts: DatasetFacts) -> list[str]:
    """How people labelled the clips, with which classes, and how far they came."""
    counts = facts.counts
    levels = "; ".join(f"{LEVEL_WORDS[name]}: {n}" for name, n in counts["annotation"].items())
    sentences = [
        "People marked body language on a timeline, and judged emotion, in Label Studio, looking at masked clips only.",
        f"Classes: vocabulary {facts.nfbl.versioned_name}, {len(facts.nfbl.classes)} classes, {len(counts['classes'])} of which "
        f"occur; emotions: {facts.emotions.versioned_name}, {len(facts.emotions.labels)} categories, "
        f"{len(counts['emotions'])} of which occur.",
        f"Clips by how far their labelling came: {levels}.",
    ]
    if counts["people"]:
        by = ", ".join(f"{p} {'person' if p == '1' else 'people'}: {n}" for p, n in counts["people"].items() if p != "0")
        sentences.append(f"Events by how many people marked them: {by or 'none by people'}.")
    if proposed := counts["people"].get("0", 0):
        sentences.append(
            f"{proposed} of {counts['events']} events are proposals of rules that nobody checked (`status: proposed`)."
        )
    if counts["statuses"]:
        sentences.append(
            f"Emotion records by status: {_list_counts(counts['statuses'])}; by kind: {_list_counts(counts['tasks'])}."
        )
        sentences.append(
            "Rules drafted clues and reasoning for the annotators. Drafts that nobody changed are left out; the column authors "
            "says who chose or wrote what, and whether a draft was there."
        )
    if drafted := counts["statuses"].get("drafted"):
        sentences.append(
            f"{count_noun(drafted, 'record')} answer with a draft that a person completed with the emotion and otherwise left "
            "(`status: drafted`): the words are a machine's."
        )
    return sentences


LEVEL_WORDS = {
    "none": "not looked at", "proposed": "machine proposals only", "single": "one annotator",
    "reviewed": "two or more annotators", "adjudicated": "adjudicated by somebody else",
}  # fmt: skip


def annotators_per_clip_statement(counts: Mapping[str, Any]) -> str:
    """How many clips have how many annotators."""
    levels = counts["annotation"]
    shares = [f"{levels[k]} clips {w}" for k, w in ANNOTATOR_WORDS.items() if levels.get(k)]
    return f"Of {counts['clips']} clips: {', '.join(shares)}."


ANNOTATOR_WORDS = {
    "none": "with none", "proposed": "with proposals of rules only", "single": "with one", "reviewed": "with two or more",
    "adjudicated": "with an adjudicator's, after those of the first group",
}  # fmt: skip


def agreement_statements(report: Mapping[str, Any] | None) -> list[str]:
    """How far annotators agree, with intervals, from out/agreement.json; or a sentence that it was not measured."""
    if not report:
        return ["How far annotators agree was not measured."]
    counts, overall = report["counts"], report["overall"]
    if not counts["seen_by_more"]:
        return [f"{count_noun(counts['annotators'], 'annotator')}; no clip was seen by two of them, so agreement cannot be said."]
    f1 = overall["f1"][str(report["same"])]
    sentences = [
        f"{count_noun(counts['annotators'], 'annotator')}; {counts['seen_by_more']} of {counts['clips']} clips were seen by two "
        f"or more. Events of one class at an IoU of at least {report['same']}: F1 {format_figure(f1)}; "
        f"Krippendorff's alpha {format_figure(overall['alpha'])}."
    ]
    sentences += [
        f"{q['name'].replace('_', ' ').capitalize()}: Krippendorff's alpha {format_figure(q['alpha'])}, "
        f"{q['answered']} clips answered."
        for q in report["choices"]
    ]
    return sentences


def format_figure(figure: Mapping[str, Any]) -> str:
    """A figure of agreement.json (see stats.figures) with its interval, the level of chance and what it rests on."""
    if figure["value"] is None:
        return f"cannot be said ({figure['why']})"
    text = f"{figure['value']:.2f}"
    if figure["low"] is not None:
        text += f" (95 % interval {figure['low']:.2f} to {figure['high']:.2f})"
    if figure.get("chance") is not None:
        text += f", by chance {figure['chance']:.2f}"
    return f"{text}, {figure['n']} {figure['unit']}"


@dataclass(frozen=True)
class Attack:
    """The strongest attack on one channel: its figure for the profile that the dataset was made with."""

    channel: str
    attack: str
    figure: str
    chance: str
    verdict: str


def strongest_attacks(privacy: Mapping[str, Any] | None) -> list[Attack]:
    """One attack per channel, from out/privacy.json; empty when no audit was run."""
    if not privacy:
        return []
    profile, attacks = privacy["profile"], []
    for name, title, _ in privacy_verdict.CHANNELS:
        line = privacy_verdict.find_strongest(privacy["channels"].get(name, {"lines": []})["lines"], profile)
        if line is None:
            attacks.append(Attack(title, "nothing could be computed", "–", "–", "not known"))
            continue
        cell, chance = line["cells"][profile], privacy_verdict.chance_level(line)
        plain = line["measure"] in privacy_verdict.PLAIN_MEASURES
        interval = "no interval"
        if cell["low"] is not None:
            interval = f"{_format_share(cell['low'], plain)} to {_format_share(cell['high'], plain)}"
        attacks.append(
            Attack(
                title,
                f"{line['attacker']}, {line['attack']}: {line['measure']}",
                f"{_format_share(cell['value'], plain)} ({interval}; {cell['n']} {cell['unit']})",
                "–" if chance is None else _format_share(chance, plain),
                privacy_verdict.give_verdict(line, profile),
            )
        )
    return attacks


def audit_statement(privacy: Mapping[str, Any] | None) -> str:
    """What the figures of `strongest_attacks` are based on; or a sentence that no audit was run."""
    if not privacy:
        return "Nobody has attacked these clips (`deemo audit`), so how well people are protected is not known."
    clips = privacy["clips"]
    return (
        f"On {privacy['date']}, recognisers attacked {clips['attacked']} of {clips['in_project']} clips of "
        f"{count_noun(clips['subjects'], 'subject')}, made with the profile {privacy['profile']}. The attack that reached most, "
        "channel by channel, with 95 % intervals. Better attackers than these exist or will exist."
    )


# Measured on test footage of deemo_data, outside the audit, which does not yet try these attacks.
STRONGER_ATTACKS = (
    "Whole picture: hair, clothes, room and build stay visible. Of 20 masked clips of five people in one session, a colour "
    "histogram gave 90 % to the right person, and an image network or the body's outline 100 % (guessing: 20 %).",
    "Voice: a newer speaker verifier (CAM++) recognised voices of the profile `hardened` with an equal error rate of 7 to 10 %, "
    "and an attack that undoes the change with 2 to 4 % (50 % is guessing, 0 % is no protection).",
    "Small faces: a face of less than about 20 pixels of the released picture may not be masked.",
    "Spoken names: names that nobody listed are found in English speech only.",
)


def stronger_attack_statement() -> str:
    """What the sentences in `STRONGER_ATTACKS` are based on."""
    return (
        "The audit does not yet try the strongest attacks that are known. These figures were measured outside it, on test "
        "footage of deemo_data and not on these clips:"
    )


def limit_statements(facts: DatasetFacts) -> list[str]:
    """What the dataset cannot be used to conclude: missing annotations, few subjects, rare classes, and the export's warnings."""
    counts, nfbl = facts.counts, facts.nfbl
    sentences = ["Labels are what annotators saw in masked video, not what the subject felt."]
    if hidden := [c.name.lower() for c in nfbl.classes if not c.visible_after_masking]:
        sentences.append(f"Classes whose sign lies on the face ({', '.join(hidden)}) cannot be checked by eye.")
    sentences.append(f"{count_noun(counts['subjects'], 'subject')}: what is learnt from so few people says little about others."
                if counts["subjects"] < 30 else f"{counts['subjects']} subjects, chosen by the data owner, not drawn from any "
                "population.")  # fmt: skip
    if unseen := counts["annotation"].get("none", 0) + counts["annotation"].get("proposed", 0):
        sentences.append(f"{unseen} of {counts['clips']} clips were looked at by nobody: that they have no events says nothing.")
    if single := counts["annotation"].get("single", 0):
        sentences.append(
            f"{single} of {counts['clips']} clips were looked at by one person only: nothing tells their mistakes from events."
        )
    rare = [n for n, c in counts["classes"].items() if c["events"] < 10]
    never = [c.name for c in nfbl.classes if c.name not in counts["classes"]]
    if rare or never:
        sentences.append(f"Of {len(nfbl.classes)} classes {len(never)} never occur and {len(rare)} fewer than ten times.")
    if len(splits := ordered_splits(counts)) < 3:
        sentences.append(f"There is no full set of splits ({', '.join(s for s, _ in splits)} only).")
    sentences += facts.warnings
    return sentences


def bias_statements(facts: DatasetFacts) -> list[str]:
    """How unevenly emotions and classes are spread, and which biases cannot be measured."""
    counts, sentences = facts.counts, []
    if emotions := counts["emotions"]:
        name, n = sort_by_count(emotions)[0]
        sentences.append(f"Emotions are not balanced: {_list_counts(emotions)} (clips). Always answering {name!r} is right for "
                    f"{n / sum(emotions.values()):.0%} of them.")  # fmt: skip
    if classes := counts["classes"]:
        events = {name: c["events"] for name, c in classes.items()}
        first = sort_by_count(events)[:3]
        share = sum(n for _, n in first) / max(counts["events"], 1)
        sentences.append(
            f"Events are not balanced: {', '.join(f'{k} ({n})' for k, n in first)} make {share:.0%} of {counts['events']}."
        )
        one = [k for k, c in classes.items() if c["subjects"] == 1]
        if one and counts["subjects"] > 1:
            sentences.append(
                f"{len(one)} of {len(classes)} classes that occur were seen with one subject only: {', '.join(one)}."
            )
    sentences.append("Age, sex, origin and looks of the subjects are not recorded, so bias by them cannot be measured here.")
    return sentences


def sensitivity_statements(facts: DatasetFacts) -> list[str]:
    """What is personal or sensitive in the clips."""
    return [
        "The clips show people: their movements, hands, clothes, surroundings, and what they say. They are de-identified, not "
        "anonymous: people who know a subject, or who hold other recordings of them, may still recognise gait, posture, words or "
        "surroundings.",
        "Emotions are sensitive information, and annotators' opinions of them may be wrong.",
        *consent_statements(facts.counts),
    ]


def use_case_statements() -> list[str]:
    """What the dataset is for, then what it is not for."""
    return ["Research on non-facial body language and on emotion recognition and reasoning from cues that do not identify.",
            *(f"Not: {words}" for words in PROHIBITED_USES)]  # fmt: skip


def count_noun(n: int, noun: str) -> str:
    """A number and its noun: "1 clip", "2 clips"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def sort_by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """(name, count), largest count first; equal counts by name."""
    return sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))


def _list_counts(counts: Mapping[str, int], quote: bool = False, max_names: int = 12) -> str:
    rows = sort_by_count(counts)
    names = ", ".join(f'"{k}" ({n})' if quote else f"{k} ({n})" for k, n in rows[:max_names])
    return names + (f" and {len(rows) - max_names} more" if len(rows) > max_names else "")


def _format_rate(rate: str) -> str:
    numerator, denominator = (int(part) for part in rate.split("/"))
    return f"{numerator / denominator:.6g}"


def _format_share(share: float, plain: bool) -> str:
    """A share in per cent; as a plain number where the measure is no share."""
    return f"{share:.2f}" if plain else f"{share:.0%}".replace("%", " %")
