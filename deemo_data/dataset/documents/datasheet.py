"""datasheet.md: the questions of Gebru et al. (Datasheets for Datasets, 2021), answered from what was counted and measured.

QUESTIONS maps each question to a function that answers it. Questions that only the data owner can answer are marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deemo_data.dataset.documents import statements
from deemo_data.dataset.documents.card import bullets
from deemo_data.dataset.documents.statements import OWNER_ANSWERS, DatasetFacts

HEAD = """\
# Datasheet: {title}

Version {version}, {date}. The questions are those of Gebru et al., *Datasheets for Datasets* (2021). Figures were counted or
measured in this very version. What only the data owner can know is marked; nothing is made up in its place.
"""

Answer = Callable[[DatasetFacts], Sequence[str]]  # several sentences become a list


def _leave_to_owner(facts: DatasetFacts) -> list[str]:
    return [OWNER_ANSWERS]


def _describe_instances(facts: DatasetFacts) -> list[str]:
    counts = facts.counts
    return [
        "An instance is a clip: a masked video with its sound, body points, prosody curves, transcript and body-language events "
        "(config `nfbl`). Some clips have records of emotion: a question and its answer (config `mer`).",
        statements.headline(counts),
    ]


def _describe_labels(facts: DatasetFacts) -> list[str]:
    return [*statements.annotation_statements(facts), *statements.agreement_statements(facts.agreement)]


def _describe_relations(facts: DatasetFacts) -> list[str]:
    return ["Records name their clip (`clip_id`) and the events they rest on (`evidence`); clips name their subject "
            "(`subject_id`, a pseudonym). Which clips are of one recording is not published."]  # fmt: skip


def _describe_splits(facts: DatasetFacts) -> list[str]:
    rows = facts.counts["splits"]
    sizes = [
        f"{split}: {statements.count_noun(row['clips'], 'clip')} of {statements.count_noun(row['subjects'], 'subject')}"
        for split, row in rows.items()
    ]
    return [
        f"{'; '.join(sizes)}. No subject is in two. Of many deals of the subjects, the one with the most even emotions was kept."
    ]


def _describe_errors(facts: DatasetFacts) -> list[str]:
    return [*statements.bias_statements(facts), *statements.limit_statements(facts)]


def _describe_folder(facts: DatasetFacts) -> list[str]:
    return ["It is. Videos, tables and documents lie in one folder; `deemo.json` has the sha256 of every file."]


def _describe_sensitive_data(facts: DatasetFacts) -> list[str]:
    return [*statements.sensitivity_statements(facts), statements.audit_statement(facts.privacy), *_list_attacks(facts)]


def _list_attacks(facts: DatasetFacts) -> list[str]:
    return [
        f"{a.channel}: {a.attack}: {a.figure}; guessing gives {a.chance}; {a.verdict}"
        for a in statements.strongest_attacks(facts.privacy)
    ]


def _describe_identifiability(facts: DatasetFacts) -> list[str]:
    return ["Perhaps, by people who know them or hold other recordings: see the question before. Whoever uses the data agrees "
            "not to try."]  # fmt: skip


def _describe_subpopulations(facts: DatasetFacts) -> list[str]:
    return ["By pseudonym only. Age, sex, origin and looks are not recorded, and may not be guessed.", *_describe_splits(facts)]


def _describe_collection(facts: DatasetFacts) -> list[str]:
    return [*statements.collection_statements(facts.counts), "How, where and by whom they were recorded: " + OWNER_ANSWERS]


def _describe_consent(facts: DatasetFacts) -> list[str]:
    return [*statements.consent_statements(facts.counts), "The wording that people were shown: " + OWNER_ANSWERS]


def _describe_withdrawal(facts: DatasetFacts) -> list[str]:
    contact = facts.contact or OWNER_ANSWERS
    return [
        f"Yes, at any time. Whom to write to: {contact}",
        "The data owner then types `deemo forget`; the next version lacks every row of that person, and its changelog says how "
        "many rows went. Whoever holds earlier versions is asked to delete them.",
    ]


def _describe_preprocessing(facts: DatasetFacts) -> list[str]:
    return statements.preprocessing_statements(facts.counts, facts.privacy)


def _describe_raw_data(facts: DatasetFacts) -> list[str]:
    return ["The footage stays with the data owner and is no part of this dataset."]


def _name_software(facts: DatasetFacts) -> list[str]:
    return ["deemo_data, in the version that `deemo.json` names."]


def _list_prohibited_uses(facts: DatasetFacts) -> list[str]:
    return list(statements.PROHIBITED_USES)


def _describe_licence(facts: DatasetFacts) -> list[str]:
    terms = "On request, under the terms that the card gives." if facts.gated else "Whoever can read it may load it."
    return [terms, statements.licence_statement(facts.counts)]


def _describe_updates(facts: DatasetFacts) -> list[str]:
    return [
        f"This is version {facts.version}. `CHANGELOG.md` says what changed, computed from the records themselves. The first "
        "number grows when rows went or mean something else, the second when rows were added or are labelled anew.",
        "Subjects stay in the split in which they were.",
    ]


def _name_contact(facts: DatasetFacts) -> list[str]:
    return [facts.contact or OWNER_ANSWERS]


def _describe_missing_data(facts: DatasetFacts) -> list[str]:
    counts = facts.counts
    unseen, silent = counts["annotation"].get("none", 0), counts["clips"] - counts["transcripts"]
    sentences = ["Every clip was looked at."]
    if unseen:
        sentences = [f"{unseen} of {counts['clips']} clips have not been looked at (`annotation: none`)."]
    if silent:
        clips = statements.count_noun(silent, "clip")
        sentences.append(f"{clips} without a transcript: nothing was understood, or nothing is said.")
    return [*sentences, "Numbers are NaN where no body part, or no voiced sound, was found."]


QUESTIONS: dict[str, dict[str, Answer]] = {
    "Motivation": {
        "For what purpose was the dataset created?": _leave_to_owner,
        "Who created it, and on behalf of whom?": _leave_to_owner,
        "Who funded it?": _leave_to_owner,
    },
    "Composition": {
        "What do the instances represent, and how many are there?": _describe_instances,
        "Does it contain all possible instances, or is it a sample?": _leave_to_owner,
        "What data does each instance consist of? Is there a label?": _describe_labels,
        "Is any information missing?": _describe_missing_data,
        "Are relationships between instances made explicit?": _describe_relations,
        "Are there recommended splits?": _describe_splits,
        "Are there errors, sources of noise, or redundancies?": _describe_errors,
        "Is it self-contained?": _describe_folder,
        "Does it contain data that might be confidential or sensitive?": _describe_sensitive_data,
        "Does it contain data that might be offensive or cause anxiety?": _leave_to_owner,
        "Does it identify subpopulations?": _describe_subpopulations,
        "Is it possible to identify individuals?": _describe_identifiability,
    },
    "Collection": {
        "How was the data acquired?": _describe_collection,
        "Over what time was it collected?": _leave_to_owner,
        "Were there ethical reviews?": _leave_to_owner,
        "Who was involved in the collection, and how were they compensated? The annotators?": _leave_to_owner,
        "Did the individuals consent, and to what?": _describe_consent,
        "Can they revoke their consent?": _describe_withdrawal,
        "Was the impact on the people analysed?": _leave_to_owner,
    },
    "Preprocessing, cleaning, labelling": {
        "What was done?": _describe_preprocessing,
        "Was the raw data saved?": _describe_raw_data,
        "Is the software available?": _name_software,
    },
    "Uses": {
        "Has the dataset been used already?": _leave_to_owner,
        "What could it be used for?": lambda facts: statements.use_case_statements()[:1],
        "Are there tasks for which it should not be used?": _list_prohibited_uses,
    },
    "Distribution": {
        "Will it be distributed to third parties, how and when?": _leave_to_owner,
        "Under which licence or terms?": _describe_licence,
        "Do export controls or other rules apply?": _leave_to_owner,
    },
    "Maintenance": {
        "Who maintains it, and how can they be reached?": _name_contact,
        "Will it be updated? What about older versions?": _describe_updates,
        "How long is data about people retained?": _leave_to_owner,
        "Can others extend it?": _leave_to_owner,
    },
}


def render_datasheet(facts: DatasetFacts) -> str:
    parts = [HEAD.format(title=statements.TITLE, version=facts.version, date=facts.date)]
    for title, questions in QUESTIONS.items():
        parts.append(f"## {title}\n")
        for question, answer in questions.items():
            sentences = answer(facts)
            parts.append(f"**{question}**\n\n{sentences[0] if len(sentences) == 1 else bullets(sentences)}\n")
    return "\n".join(parts)
