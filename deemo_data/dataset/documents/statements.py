"""What can be said of a dataset from what was measured, in sentences: for the card, the datasheet and Croissant alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deemo_data.dataset.layout import SPLITS
from deemo_data.labels.vocabulary import Emotions, Nfbl

OWNER = "*To be answered by the data owner.*"

TITLE = "Body language and emotion in de-identified interviews"

PROHIBITED = (
    "Inferring emotions of people at work or in education: Article 5(1)(f) of the EU AI Act prohibits such systems.",
    "Any attempt to find out who the subjects are, to undo the masks or the altered voices, or to link the clips with other "
    "recordings.",
    "Decisions about a person: hiring, insurance, policing, border control, credit.",
)

TERMS = """\
You ask for recordings of people, de-identified and not more than that. By asking you agree:

1. to use them for research on body language and emotion, and for nothing else;
2. not to try to find out who anybody in them is, not to undo masks or altered voices, not to link them with other recordings;
3. not to use them, or models trained on them, to infer emotions of people at work or in education, or to decide about a person;
4. not to pass them on, whole or in part; whoever needs them asks here;
5. to delete your copies when you are told that somebody withdrew, or that a version was replaced;
6. to tell us at once when you recognise somebody, or believe that others could."""

FIELDS = {
    "Name": "text",
    "Affiliation": "text",
    "Country": "country",
    "What you will use it for": "text",
    "I agree to the terms above": "checkbox",
    "I will delete my copies when I am told that somebody withdrew": "checkbox",
}


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset's documents are made from.

    counts     counts.count of its tables
    nfbl, emotions  the vocabularies it was made with
    agreement  out/agreement.json, where somebody measured it
    privacy    out/privacy.json, the same
    warnings   what was to be noted when it was made
    version, date  of the dataset
    contact, terms, gated  as [export] says
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
    return (
        f"{many(counts['clips'], 'clip')} of {many(counts['subjects'], 'subject')}, {counts['seconds'] / 60:.1f} minutes, "
        f"{many(counts['events'], 'body-language event')}, {many(counts['records'], 'emotion record')}."
    )


def splits_of(counts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Split and what it holds, in the order in which they are always told."""
    return [(s, counts["splits"][s]) for s in SPLITS if s in counts["splits"]]


def split_lines(counts: Mapping[str, Any]) -> list[str]:
    """The rows of the card's table of splits; `deemo validate` looks for them."""
    return [
        f"| {s} | {row['clips']} | {row['subjects']} | {row['seconds'] / 60:.1f} | {row['events']} | {row['records']} |"
        for s, row in splits_of(counts)
    ]


def collection(counts: Mapping[str, Any]) -> list[str]:
    told = [f"Clips were cut from recordings that the data owner gave: {headline(counts)}"]
    if counts["subjects_assumed"]:
        told.append(f"For {counts['subjects_assumed']} of {counts['subjects']} subjects nobody said who is seen: one a recording "
                    "was assumed.")  # fmt: skip
    rates = ", ".join(f"{_rate(r)} ({n})" for r, n in most(counts["rates"]))
    told.append(f"Frames a second, with the number of clips: {rates}. Pixels: {_listed(counts['sizes'])}.")
    return told


def consent(counts: Mapping[str, Any]) -> list[str]:
    told = [f"Consent as the data owner recorded it, with the number of clips: {_listed(counts['consent'], quote=True)}."]
    if counts["asserted"]:
        told.append(f"For {counts['asserted']} of {counts['clips']} clips it is one statement that was given for all recordings.")
    return told


def licences(counts: Mapping[str, Any]) -> str:
    named = {name or "none stated": n for name, n in counts["licences"].items()}
    return f"Licences of the recordings, with the number of clips: {_listed(named, quote=True)}."


def preprocessing(counts: Mapping[str, Any], privacy: Mapping[str, Any] | None) -> list[str]:
    leaks = counts["leaks"]
    told = ["Every face that was found is masked, every voice is altered, tags of the files are stripped, and body points carry "
            "none of the face."]  # fmt: skip
    if privacy:
        told.append(f"The settings began as the profile {privacy['profile']} of deemo_data.")
    told.append(f"A leak check looked for faces in {leaks['looked_at']} frames of the finished videos: in "
                f"{leaks['with_a_face']} it found a face (such clips are withheld), and {leaks['not_confirmed']} suspicions were "
                "not confirmed.")  # fmt: skip
    told.append(f"Transcripts are by speech recognition, of {counts['transcripts']} of {counts['clips']} clips; in them "
                f"{many(counts['names'], 'name')} gave way to placeholders. They have the mistakes that such recognition "
                "makes.")  # fmt: skip
    return told


def annotation(measured: DatasetFacts) -> list[str]:
    counts = measured.counts
    levels = "; ".join(f"{LEVELS[name]}: {n}" for name, n in counts["annotation"].items())
    told = [
        "People marked body language on a timeline, and judged emotion, in Label Studio, looking at masked clips only.",
        f"Classes: vocabulary {measured.nfbl.said}, {len(measured.nfbl.classes)} classes, {len(counts['classes'])} of which "
        f"occur; emotions: {measured.emotions.said}, {len(measured.emotions.labels)} categories, {len(counts['emotions'])} of "
        "which occur.",
        f"Clips by how far their labelling came: {levels}.",
    ]
    if counts["people"]:
        by = ", ".join(f"{p} {'person' if p == '1' else 'people'}: {n}" for p, n in counts["people"].items() if p != "0")
        told.append(f"Events by how many people marked them: {by or 'none by people'}.")
    if proposed := counts["people"].get("0", 0):
        told.append(f"{proposed} of {counts['events']} events are proposals of rules that nobody checked (`status: proposed`).")
    if counts["statuses"]:
        told.append(f"Emotion records by status: {_listed(counts['statuses'])}; by kind: {_listed(counts['tasks'])}.")
    return told


LEVELS = {
    "none": "not looked at", "proposed": "machine proposals only", "single": "one annotator",
    "reviewed": "two or more annotators", "adjudicated": "adjudicated by somebody else",
}  # fmt: skip


def per_item(counts: Mapping[str, Any]) -> str:
    levels = counts["annotation"]
    shares = [f"{levels[k]} clips {w}" for k, w in ITEM.items() if levels.get(k)]
    return f"Of {counts['clips']} clips: {', '.join(shares)}."


ITEM = {"none": "with none", "proposed": "with proposals of rules only", "single": "with one", "reviewed": "with two or more",
        "adjudicated": "with an adjudicator's, after those of the first group"}  # fmt: skip


def agreement(measured: DatasetFacts) -> list[str]:
    """How far annotators agree, with intervals; or that nobody measured it."""
    said = measured.agreement
    if not said:
        return ["How far annotators agree was not measured."]
    counts, overall = said["counts"], said["overall"]
    if not counts["seen_by_more"]:
        return [f"{many(counts['annotators'], 'annotator')}; no clip was seen by two of them, so agreement cannot be said."]
    told = [
        f"{many(counts['annotators'], 'annotator')}; {counts['seen_by_more']} of {counts['clips']} clips were seen by two or "
        f"more. Events of one class at an IoU of at least {said['same']}: F1 {figure(overall['f1'][str(said['same'])])}; "
        f"Krippendorff's alpha {figure(overall['alpha'])}."
    ]
    told += [
        f"{q['name'].replace('_', ' ').capitalize()}: Krippendorff's alpha {figure(q['alpha'])}, {q['answered']} clips answered."
        for q in said["choices"]
    ]
    return told


def figure(said: Mapping[str, Any]) -> str:
    if said["value"] is None:
        return f"cannot be said ({said['why']})"
    told = f"{said['value']:.2f}"
    if said["low"] is not None:
        told += f" (95 % interval {said['low']:.2f} to {said['high']:.2f})"
    if said.get("chance") is not None:
        told += f", by chance {said['chance']:.2f}"
    return f"{told}, {said['n']} {said['unit']}"


@dataclass(frozen=True)
class Attack:
    """The attack that came furthest in one channel: its figure against the dataset's own profile."""

    channel: str
    attack: str
    figure: str
    chance: str
    verdict: str


def attacks(privacy: Mapping[str, Any] | None) -> list[Attack]:
    """One line a channel, from out/privacy.json; none where nobody attacked."""
    if not privacy:
        return []
    from deemo_data.reports import privacy_verdict

    own, found = privacy["profile"], []
    for name, title, _ in privacy_verdict.CHANNELS:
        line = privacy_verdict.strongest(privacy["channels"].get(name, {"lines": []})["lines"], own)
        if line is None:
            found.append(Attack(title, "nothing could be computed", "–", "–", "not known"))
            continue
        cell, level = line["cells"][own], privacy_verdict.chance(line)
        plain = line["measure"] in privacy_verdict.PLAIN
        wide = "no interval" if cell["low"] is None else f"{_value(cell['low'], plain)} to {_value(cell['high'], plain)}"
        found.append(
            Attack(
                title,
                f"{line['attacker']}, {line['attack']}: {line['measure']}",
                f"{_value(cell['value'], plain)} ({wide}; {cell['n']} {cell['unit']})",
                "–" if level is None else _value(level, plain),
                privacy_verdict.verdict(line, own),
            )
        )
    return found


def attacked(privacy: Mapping[str, Any] | None) -> str:
    """What the figures of `attacks` rest on."""
    if not privacy:
        return "Nobody has attacked these clips (`deemo audit`), so how well people are protected is not known."
    clips = privacy["clips"]
    return (
        f"On {privacy['date']}, recognisers attacked {clips['attacked']} of {clips['in_project']} clips of "
        f"{many(clips['subjects'], 'subject')}, made with the profile {privacy['profile']}. The attack that reached most, "
        "channel by channel, with 95 % intervals. Better attackers than these exist or will exist."
    )


def limits(measured: DatasetFacts) -> list[str]:
    """What the dataset cannot bear, as far as it was measured."""
    counts, nfbl = measured.counts, measured.nfbl
    told = ["Labels are what annotators saw in masked video, not what the subject felt."]
    if hidden := [c.name.lower() for c in nfbl.classes if not c.visible_after_masking]:
        told.append(f"Classes whose sign lies on the face ({', '.join(hidden)}) cannot be checked by eye.")
    told.append(f"{many(counts['subjects'], 'subject')}: what is learnt from so few people says little about others."
                if counts["subjects"] < 30 else f"{counts['subjects']} subjects, chosen by the data owner, not drawn from any "
                "population.")  # fmt: skip
    if unseen := counts["annotation"].get("none", 0) + counts["annotation"].get("proposed", 0):
        told.append(f"{unseen} of {counts['clips']} clips were looked at by nobody: that they have no events says nothing.")
    if single := counts["annotation"].get("single", 0):
        told.append(
            f"{single} of {counts['clips']} clips were looked at by one person only: nothing tells their mistakes from events."
        )
    rare = [n for n, c in counts["classes"].items() if c["events"] < 10]
    never = [c.name for c in nfbl.classes if c.name not in counts["classes"]]
    if rare or never:
        told.append(f"Of {len(nfbl.classes)} classes {len(never)} never occur and {len(rare)} fewer than ten times.")
    if len(splits := splits_of(counts)) < 3:
        told.append(f"There is no full set of splits ({', '.join(s for s, _ in splits)} only).")
    told += measured.warnings
    return told


def biases(measured: DatasetFacts) -> list[str]:
    counts, told = measured.counts, []
    if emotions := counts["emotions"]:
        name, n = most(emotions)[0]
        told.append(f"Emotions are not balanced: {_listed(emotions)} (clips). Always answering {name!r} is right for "
                    f"{n / sum(emotions.values()):.0%} of them.")  # fmt: skip
    if classes := counts["classes"]:
        events = {name: c["events"] for name, c in classes.items()}
        first = most(events)[:3]
        share = sum(n for _, n in first) / max(counts["events"], 1)
        told.append(
            f"Events are not balanced: {', '.join(f'{k} ({n})' for k, n in first)} make {share:.0%} of {counts['events']}."
        )
        one = [k for k, c in classes.items() if c["subjects"] == 1]
        if one and counts["subjects"] > 1:
            told.append(f"{len(one)} of {len(classes)} classes that occur were seen with one subject only: {', '.join(one)}.")
    told.append("Age, sex, origin and looks of the subjects are not recorded, so bias by them cannot be measured here.")
    return told


def sensitive(measured: DatasetFacts) -> list[str]:
    return [
        "The clips show people: their movements, hands, clothes, surroundings, and what they say. They are de-identified, not "
        "anonymous: people who know a subject, or who hold other recordings of them, may still recognise gait, posture, words or "
        "surroundings.",
        "Emotions are sensitive information, and annotators' opinions of them may be wrong.",
        *consent(measured.counts),
    ]


def use_cases() -> list[str]:
    return ["Research on non-facial body language and on emotion recognition and reasoning from cues that do not identify.",
            *(f"Not: {words}" for words in PROHIBITED)]  # fmt: skip


def many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The largest first; of equals, by name."""
    return sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))


def _listed(counts: Mapping[str, int], quote: bool = False, longest: int = 12) -> str:
    rows = most(counts)
    told = ", ".join(f'"{k}" ({n})' if quote else f"{k} ({n})" for k, n in rows[:longest])
    return told + (f" and {len(rows) - longest} more" if len(rows) > longest else "")


def _rate(said: str) -> str:
    upper, lower = (int(p) for p in said.split("/"))
    return f"{upper / lower:.6g}"


def _value(share: float, plain: bool) -> str:
    return f"{share:.2f}" if plain else f"{share:.0%}".replace("%", " %")
