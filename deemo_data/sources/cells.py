"""Reads the cells of a table that are about people: lists of names, names beside codes, and words for nothing."""

from __future__ import annotations

import re
import unicodedata

from deemo_data.models.text.known_names import PARTICLES, TITLES, fold_word
from deemo_data.models.text.scripts import ABJAD, is_latin, spell_in_latin

NOTHING_TEXT = "n/a na n.a. none null nil nan nat <na> #n/a tbd tbc todo unknown unbekannt inconnu desconocido unnamed"
CODE_TEXT = (  # words that name nobody, also when they stand alone
    "subj subject subjects sub sbj participant participants partic speaker speakers spk spkr person persons pers patient "
    "patients proband probandin versuchsperson vp vpn tn teilnehmer teilnehmerin sujet sujeto soggetto sujeito "
    "deelnemer deltagare deltager uczestnik katilimci klient klientin id ids nr num number code pseudonym anon anonym "
    "anonymous anonyme anonimo anonymized anonymised unknown unnamed nn nobody female male woman man girl boy interviewer "
    "interviewee interview respondent informant volunteer moderator signer talker singer bystander user therapist nurse "
    "student teacher pupil recording rec session sess tape video clip film movie file camera sample test trial pilot "
    "demo take scene left right first second third uchastnik patsient subekt beishi canyuzhe shoushizhe beiyanzhe canjiazhe "
)
NUMBERED_TEXT = (  # words that are names of people too: codes only beside a number
    "case client guest host actor actress child kid adult teen mother father parent group grp cohort control visit day week wave "
    "fall player member room class team site lab part no the a pat cam mann frau femme homme tp tm"
)
NOTHING_WORDS = frozenset(NOTHING_TEXT.split())
CODE_WORDS = frozenset(CODE_TEXT.split())
NUMBERED_WORDS = frozenset(NUMBERED_TEXT.split())
LIST_MARKS = r"[;；|/／\\、،؛\n＆&+]|\s(?:and|und|et)\s"
MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0670\u0900-\u0dff\u0e31-\u0e4e\u1000-\u109f\u200c\u200d"  # that follow letters
MIN_NAME_LETTERS = 4  # of letters beside digits that are taken for a name whatever their case


def is_nothing(cell: str) -> bool:
    """Whether a cell about people says nothing: it is empty, has neither letters nor digits, or says n/a, none, NaN and the like.

    "Nan" and "None" with one capital may be names, and are taken for names.
    """
    text = unicodedata.normalize("NFKC", cell).strip()
    if not any(c.isalnum() for c in text):
        return True
    return text.casefold() in NOTHING_WORDS and not (
        text.istitle() and text.isalpha() and text.casefold() in ("nan", "none", "null", "na")
    )


def parse_names(cell: str) -> tuple[str, ...]:
    """The names in a cell of known names. They may be separated by ; , / | & or "and", and by the marks of other scripts."""
    if is_nothing(cell):
        return ()
    text = re.sub(r"(?<=\w)@[\w.\-]*", "", cell)  # of an e-mail address, what stands before the @
    parts = re.split(rf"{LIST_MARKS}|[,，]", text)
    return tuple(dict.fromkeys(name for part in parts if (name := part.strip()) and not is_nothing(name)))


def find_names_in_subject(cell: str) -> tuple[str, ...]:
    """The names of people in a cell that says who is seen: every part of it that is no bare code. Empty for P01, subj_3, 0042.

    "Lee, Ann" is the name Ann Lee. Titles and initials are left out. Several people may be in one cell.
    """
    if is_nothing(cell) or re.fullmatch(r"\s*[A-Z]{2}\s*", cell):  # two capitals and nothing else are initials or a code
        return ()
    text = re.sub(r"@\S*", " ", unicodedata.normalize("NFC", cell))  # of an e-mail address, what stands before the @
    names = []
    for person in re.split(LIST_MARKS, text):
        numbered = any(c.isdigit() for c in person)
        fields = [found for field in re.split(r"[,，]", person) if (found := _find_name_parts(field, numbered))]
        if len(fields) == 2:
            fields = [[*fields[1], *fields[0]]]
        names += [" ".join(field) for field in fields]
    return tuple(dict.fromkeys(names))


def list_spellings(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names, and behind each that is in another script its Latin spelling, where the script writes vowels."""
    spelt = [s for name in names for s in ((name,) if is_latin(name) or ABJAD.search(name) else (name, spell_in_latin(name)))]
    return tuple(dict.fromkeys(spelt))


def _find_name_parts(field: str, numbered: bool) -> list[str]:
    """The parts of a name in a piece of a cell. numbered: there are digits in the cell, so a word like "guest" is no name."""
    parts: list[str] = []
    for piece in re.split(r"[\s_.\-–—:()\[\]{}\"“”#]+", field):
        with_digits = any(c.isdigit() for c in piece)
        for run in re.findall(rf"[^\W\d_](?:[^\W\d_]|[{MARKS}'’ʼ‘])*", piece):
            for part in _split_camel_case(run):
                if not _is_code(part, with_digits, numbered):
                    parts.append(part.strip("'’ʼ‘"))
    return parts


def _split_camel_case(run: str) -> list[str]:
    """AnnaSmith and annaSmith as Anna, Smith; MacGregor and McDonald as they are."""
    parts = re.findall(r"[^\W\d_][^\WA-Z\d_]*", run) if re.fullmatch(r"[A-Za-z][a-z]{2,}(?:[A-Z][a-z]{2,})+", run) else [run]
    return [run] if parts[0].title() in ("Mac", "Van", "Von", "Del", "San", "Fitz") else parts


def _is_code(part: str, with_digits: bool, numbered: bool) -> bool:
    """Whether letters of a cell are no name: one letter, a title, a word for a role; among digits also a short abbreviation."""
    folded = fold_word(part)
    if len(part) < 2 and is_latin(part):
        return True
    if folded in CODE_WORDS or folded in TITLES or (numbered and folded in NUMBERED_WORDS):
        return True
    if folded in PARTICLES:
        return False
    if with_digits:
        return not (len(part) >= MIN_NAME_LETTERS or (len(part) >= 2 and part.istitle()) or not part.isascii())
    return False
