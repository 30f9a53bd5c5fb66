"""datasheet.md: the questions of Gebru et al. (Datasheets for Datasets, 2021), answered where something was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deemo_data.dataset.documents import statements as say
from deemo_data.dataset.documents.card import bullets
from deemo_data.dataset.documents.statements import OWNER, DatasetFacts

HEAD = """\
# Datasheet: {title}

Version {version}, {date}. The questions are those of Gebru et al., *Datasheets for Datasets* (2021). Figures were counted or
measured in this very version. What only the data owner can know is marked; nothing is made up in its place.
"""

Answer = Callable[[DatasetFacts], Sequence[str]]


def _owner(measured: DatasetFacts) -> list[str]:
    return [OWNER]


def _made_of(measured: DatasetFacts) -> list[str]:
    counts = measured.counts
    return [
        "An instance is a clip: a masked video with its sound, body points, prosody curves, transcript and body-language events "
        "(config `nfbl`). Some clips have records of emotion: a question and its answer (config `mer`).",
        say.headline(counts),
    ]


def _labels(measured: DatasetFacts) -> list[str]:
    return [*say.annotation(measured), *say.agreement(measured)]


def _related(measured: DatasetFacts) -> list[str]:
    return ["Records name their clip (`clip_id`) and the events they rest on (`evidence`); clips name their subject "
            "(`subject_id`, a pseudonym). Which clips are of one recording is not published."]  # fmt: skip


def _splits(measured: DatasetFacts) -> list[str]:
    rows = measured.counts["splits"]
    told = [f"{s}: {say.many(r['clips'], 'clip')} of {say.many(r['subjects'], 'subject')}" for s, r in rows.items()]
    return [
        f"{'; '.join(told)}. No subject is in two. Of many deals of the subjects, the one with the most even emotions was kept."
    ]


def _noise(measured: DatasetFacts) -> list[str]:
    return [*say.biases(measured), *say.limits(measured)]


def _self_contained(measured: DatasetFacts) -> list[str]:
    return ["It is. Videos, tables and documents lie in one folder; `deemo.json` has the sha256 of every file."]


def _confidential(measured: DatasetFacts) -> list[str]:
    return [*say.sensitive(measured), say.attacked(measured.privacy), *_attacks(measured)]


def _attacks(measured: DatasetFacts) -> list[str]:
    return [f"{a.channel}: {a.attack}: {a.figure}; guessing gives {a.chance}; {a.verdict}" for a in say.attacks(measured.privacy)]


def _identify(measured: DatasetFacts) -> list[str]:
    return ["Perhaps, by people who know them or hold other recordings: see the question before. Whoever uses the data agrees "
            "not to try."]  # fmt: skip


def _subpopulations(measured: DatasetFacts) -> list[str]:
    return ["By pseudonym only. Age, sex, origin and looks are not recorded, and may not be guessed.", *_splits(measured)]


def _collected(measured: DatasetFacts) -> list[str]:
    return [*say.collection(measured.counts), "How, where and by whom they were recorded: " + OWNER]


def _consent(measured: DatasetFacts) -> list[str]:
    return [*say.consent(measured.counts), "The wording that people were shown: " + OWNER]


def _revoke(measured: DatasetFacts) -> list[str]:
    contact = measured.contact or OWNER
    return [
        f"Yes, at any time. Whom to write to: {contact}",
        "The data owner then types `deemo forget`; the next version lacks every row of that person, and its changelog says how "
        "many rows went. Whoever holds earlier versions is asked to delete them.",
    ]


def _prepared(measured: DatasetFacts) -> list[str]:
    return say.preprocessing(measured.counts, measured.privacy)


def _raw(measured: DatasetFacts) -> list[str]:
    return ["The footage stays with the data owner and is no part of this dataset."]


def _software(measured: DatasetFacts) -> list[str]:
    return ["deemo_data, in the version that `deemo.json` names."]


def _unfit(measured: DatasetFacts) -> list[str]:
    return list(say.PROHIBITED)


def _licence(measured: DatasetFacts) -> list[str]:
    terms = "On request, under the terms that the card gives." if measured.gated else "Whoever can read it may load it."
    return [terms, say.licences(measured.counts)]


def _updated(measured: DatasetFacts) -> list[str]:
    return [
        f"This is version {measured.version}. `CHANGELOG.md` says what changed, computed from the records themselves. The first "
        "number grows when rows went or mean something else, the second when rows were added or are labelled anew.",
        "Subjects stay in the split in which they were.",
    ]


def _contact(measured: DatasetFacts) -> list[str]:
    return [measured.contact or OWNER]


def _exists(measured: DatasetFacts) -> list[str]:
    counts = measured.counts
    some, silent = counts["annotation"].get("none", 0), counts["clips"] - counts["transcripts"]
    return [
        f"{some} of {counts['clips']} clips have not been looked at (`annotation: none`)."
        if some
        else "Every clip was looked at.",
        *([f"{say.many(silent, 'clip')} without a transcript: nothing was understood, or nothing is said."] if silent else []),
        "Numbers are NaN where no body part, or no voiced sound, was found.",
    ]


QUESTIONS: dict[str, dict[str, Answer]] = {
    "Motivation": {
        "For what purpose was the dataset created?": _owner,
        "Who created it, and on behalf of whom?": _owner,
        "Who funded it?": _owner,
    },
    "Composition": {
        "What do the instances represent, and how many are there?": _made_of,
        "Does it contain all possible instances, or is it a sample?": _owner,
        "What data does each instance consist of? Is there a label?": _labels,
        "Is any information missing?": _exists,
        "Are relationships between instances made explicit?": _related,
        "Are there recommended splits?": _splits,
        "Are there errors, sources of noise, or redundancies?": _noise,
        "Is it self-contained?": _self_contained,
        "Does it contain data that might be confidential or sensitive?": _confidential,
        "Does it contain data that might be offensive or cause anxiety?": _owner,
        "Does it identify subpopulations?": _subpopulations,
        "Is it possible to identify individuals?": _identify,
    },
    "Collection": {
        "How was the data acquired?": _collected,
        "Over what time was it collected?": _owner,
        "Were there ethical reviews?": _owner,
        "Who was involved in the collection, and how were they compensated? The annotators?": _owner,
        "Did the individuals consent, and to what?": _consent,
        "Can they revoke their consent?": _revoke,
        "Was the impact on the people analysed?": _owner,
    },
    "Preprocessing, cleaning, labelling": {
        "What was done?": _prepared,
        "Was the raw data saved?": _raw,
        "Is the software available?": _software,
    },
    "Uses": {
        "Has the dataset been used already?": _owner,
        "What could it be used for?": lambda measured: say.use_cases()[:1],
        "Are there tasks for which it should not be used?": _unfit,
    },
    "Distribution": {
        "Will it be distributed to third parties, how and when?": _owner,
        "Under which licence or terms?": _licence,
        "Do export controls or other rules apply?": _owner,
    },
    "Maintenance": {
        "Who maintains it, and how can they be reached?": _contact,
        "Will it be updated? What about older versions?": _updated,
        "How long is data about people retained?": _owner,
        "Can others extend it?": _owner,
    },
}


def text(measured: DatasetFacts) -> str:
    parts = [HEAD.format(title=say.TITLE, version=measured.version, date=measured.date)]
    for title, questions in QUESTIONS.items():
        parts.append(f"## {title}\n")
        for question, answer in questions.items():
            said = answer(measured)
            parts.append(f"**{question}**\n\n{said[0] if len(said) == 1 else bullets(list(said))}\n")
    return "\n".join(parts)
