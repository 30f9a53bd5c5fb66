"""Which statement is consent: one rule for the release, the intake and the check of datasets, closed where it is in doubt."""

from __future__ import annotations

import tomllib
import unicodedata
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from deemo_data import consent
from deemo_data.clip import Clip
from deemo_data.dataset.validation.findings import Findings
from deemo_data.dataset.validation.rows import check_clip
from deemo_data.sources.intake import merge_with_earlier

NOTHING = [
    "", " ", "\tNone ", "none", "None", "n/a", "N.A.", "na", "-", "--", "—", ".", "0", "1", "0.0", "2024-05-03", "x", "NaN",
    "null", "\u200b", "\xa0", "✓",
]  # fmt: skip
WITHDRAWN = [
    "ungueltig", "gekuendigt",
    "OPTOUT", "drop-out", "left the study", "changed mind", "W/D", "w/d 12 May", "take down request", "witdrawn", "bitte löschen",
    "désistement", "baja voluntaria", "ha cambiato idea", "saiu do estudo", "gestopt", "frafalt", "ångrat sig", "çekildi",
    "удалить", "выбыла из исследования", "αποχώρησε", "已退出研究", "削除希望", "중도 탈락", "משך הסכמתו", "rút lui",
    "mengundurkan diri",
    "withdrawn", "Withdrawn.", " WITHDRAWN ", "withdrawn 2024-05-03", "withdrawn by e-mail", "consent withdrawn",
    "not withdrawn", "withdrawn in part", "revoked", "Consent was revoked in May", "zurückgezogen", "ZURUECKGEZOGEN",
    "widerrufen", "rétracté", "retiré le 3 mai", "revocato", "ritirato", "revogado", "retirada", "wycofała zgodę", "cofnięta",
    "ingetrokken", "återkallat", "trukket tilbage", "trukket tilbake", "geri çekildi", "отозвано", "Отзыв согласия", "撤回",
    "已撤回", "取消", "철회", "سحب", "انسحب", "opted out", "expired", "asked to be deleted", "quit the study",
]  # fmt: skip
REFUSED = [
    "signed: n", "Y/N", "video N, audio Y", "consent: 0", "signed=0", "consent: F", "audio only", "nur Audio", "do not publish",
    "DNU", "embargoed until 2030", "consent limited to audio", "faces must be hidden", "too young to sign",
    "form attached (blank)",
    "no", "No", "no\n", "NO!", "n", "not given", "no consent", "refused", "refuses to sign", "declined", "FALSE", "nein",
    "n/o", "none of them objected", "no objection", "does not agree", "doesn’t agree", "unsigned", "un-signed", "NotGiven",
    "not_given", "consent: none", "withheld", "abgelehnt", "verweigert", "keine Zustimmung", "ohne Unterschrift", "non",
    "refusé", "ne consent pas", "sans accord", "sin firma", "rechazado", "no consiente", "rifiutato", "senza consenso", "não",
    "recusou", "odmówił", "nie zgadza się", "brak zgody, nie podpisano", "geweigerd", "niet akkoord", "geen toestemming",
    "nekat", "nej", "ikke gitt", "ei", "hayır", "onay vermedi", "imzalanmadı değil", "нет", "отказ", "не подписано",
    "Отказалась", "不同意", "拒绝", "拒 絕", "未签字", "いいえ", "同意していません", "同意なし", "拒否", "아니요", "거부",
    "동의 안함", "동의 안 해요", "동의 못 함",
    "동의하지 않음", "لا", "رفض", "لم يوقع", "غير موافق", "לא", "סירבה", "नहीं", "không", "❌", "👎", "yes, but not the face",
]  # fmt: skip
OPEN = [
    "unbestaetigt",
    "to sign", "needs parental consent", "re-consent required", "will be signed next week", "signing on Friday", "IRB submitted",
    "see notes", "emailed 3x", "wird nachgereicht", "einzuholen", "à signer", "por firmar", "da firmare", "a assinar",
    "do podpisu", "nog te tekenen", "на подписи", "署名予定", "서명 예정", "รอเซ็น", "đang chờ", "menunggu",
    "?", "yes?", "pending", "TBD", "to be confirmed", "awaiting signature", "not yet", "on hold", "form sent", "open", "maybe",
    "ausstehend", "offen", "en attente", "pendiente", "in attesa", "aguardando", "onbekend", "väntar", "afventer",
    "bekleniyor", "ожидается", "待定", "未定", "미정", "قيد الانتظار", "¿firmado?", "签了？", "☐",
]  # fmt: skip
YES = [
    "informed consent form v2.1 (2023-04-05)", "yes – video & audio, IRB 2022/118", "ICF signed 2021-11-02",
    "consent: 1", "signed: 1.0", "Einwilligung liegt vor", "autorisation donnée", "consenso informato firmato",
    "toestemming gegeven", "public figure, broadcast",
    "yes", "Y", "TRUE", "signed", "signed form 12", "signed form №12", "CC BY 4.0, public broadcast",
    "CC BY-NC 4.0 (non-commercial)", "all agreed", "consent given for all uses", "informed consent, ethics approval 2021-17",
    "signed in Norway, November 2023", "notice given, signed", "GDPR Art. 6(1)(a)", "public domain",
    "agreed: research, teaching", "Noah's mother signed", "ja", "unterschrieben am 3. Mai 2024", "oui", "signé le 3 mai 2024",
    "sí, firmado", "consenso firmato", "assinado", "zgoda podpisana", "akkoord, getekend", "undertecknat",
    "samtykke underskrevet", "onay verildi", "да", "согласие получено", "同意", "已签字", "署名済み", "동의함", "نعم", "موافق",
    "הסכמה חתומה",
]  # fmt: skip
NO = [*NOTHING, *WITHDRAWN, *REFUSED, *OPEN]
SOURCE = Clip("a", "a", 0, 1000, {}, {"licence": "", "spans": [], "subject_assumed": False})


def source(statement: str | None, asserted: bool = False) -> Clip:
    consent_fact = None if statement is None else {"statement": statement, "asserted": asserted}
    return replace(SOURCE, facts={**SOURCE.facts, "consent": consent_fact})


@pytest.mark.parametrize("statement", [*NO, *YES])
def test_one_rule_decides_everywhere(statement: str) -> None:
    findings = Findings()
    check_clip({"consent": {"statement": statement, "asserted": False}}, "here", findings)
    assert consent.is_given(statement) == (statement in YES)
    assert consent.has_consent(source(statement)) == (statement in YES)
    assert (findings.items == []) == (statement in YES)


@pytest.mark.parametrize(
    ("statements", "verdicts"),
    [
        (NOTHING, {"nothing"}),
        (WITHDRAWN, {"withdrawn"}),
        (REFUSED, {"refused", "open"}),
        (OPEN, {"open", "refused"}),
        (YES, {"given"}),
    ],
)
def test_what_a_statement_is_taken_for(statements: list[str], verdicts: set[str]) -> None:
    told = {statement: consent.judge_statement(statement).verdict for statement in statements}
    assert {s: v for s, v in told.items() if v not in verdicts} == {}


@pytest.mark.parametrize("nothing", [None, {}, {"statement": None}])
def test_nothing_said_is_no_consent(nothing: Any) -> None:
    assert not consent.has_consent(replace(SOURCE, facts={"consent": nothing}))
    assert not consent.has_consent(replace(SOURCE, facts={}))
    assert not consent.is_given(None)


# ── any statement with any word of refusal, however it is written ────────────────────────────────────────────

LISTS = tomllib.loads(resources.files("deemo_data").joinpath("vocabularies", "refusals.toml").read_text("utf-8"))
WORDS = sorted({word for kind in LISTS.values() for key in ("words", "parts") for word in kind.get(key, ())})
STEMS = sorted({stem for kind in LISTS.values() for stem in kind.get("stems", ())})
GAPS = [" ", ", ", ". ", "; ", " - ", "/", "_", "\t", "\n", " (", "\u200b", "\u2003", "…", "|", "：", "、", " 2024 "]
STATEMENTS = st.one_of(st.just(""), st.sampled_from(YES), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))


def to_full_width(word: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word)


def to_bold(word: str) -> str:
    return "".join(chr(0x1D400 + ord(c) - ord("a") + 26) if "a" <= c <= "z" else c for c in word)


def put_within(mark: str) -> Any:
    return lambda word: mark.join(word) if word.isalpha() else word


SPELLINGS = [
    str, str.upper, str.title, str.swapcase, to_full_width, to_bold, put_within("\u00ad"), put_within("\u200b"),
    put_within("\u2060"), put_within("\u0301"), put_within("\u034f"), lambda w: unicodedata.normalize("NFD", w),
    lambda w: f"“{w}”", lambda w: f"{w}!",
]  # fmt: skip


@given(st.sampled_from(WORDS), st.sampled_from(SPELLINGS), STATEMENTS, STATEMENTS, st.sampled_from(GAPS), st.sampled_from(GAPS))
@example("withdrawn", put_within("\u00ad"), "signed form 12", "", " ", " ")
@example("no", str.upper, "CC BY 4.0", "signed", "\u200b", "\u200b")
def test_a_word_of_refusal_anywhere_is_no_consent(
    word: str, spell: Any, before: str, after: str, gap: str, next_gap: str
) -> None:
    spelt = spell(word)
    assume("\u200b" not in (gap, next_gap) or len(spelt) == len(word))  # one mark cannot both part words and stand in them
    assert not consent.is_given(f"{before}{gap}{spelt}{next_gap}{after}")


@given(
    st.sampled_from(STEMS), st.sampled_from(["", "ed", "n", "en", "ado", "ła", "ие", "t"]), st.sampled_from(SPELLINGS), STATEMENTS
)
def test_a_word_that_begins_as_a_refusal_is_no_consent(stem: str, ending: str, spell: Any, before: str) -> None:
    assert not consent.is_given(f"{before} {spell(stem + ending)}")


@given(st.sampled_from(WORDS), st.lists(st.sampled_from(["signed", "yes", "form 12", "agreed"]), max_size=4), st.randoms())
def test_the_order_of_the_words_does_not_matter(word: str, others: list[str], rng: Any) -> None:
    parts = [word, *others]
    rng.shuffle(parts)
    assert not consent.is_given(" ".join(parts))


@given(st.text(st.characters(categories=("N", "P", "Z", "S", "Cc", "Cf", "Co", "Cn"))))
def test_what_holds_no_word_is_no_consent(text: str) -> None:
    if not any(unicodedata.normalize("NFKD", c)[0].isalpha() for c in text):
        assert not consent.is_given(text)


def test_letters_that_look_alike_are_read_as_they_look() -> None:
    assert not consent.is_given("yes, n\u043e")  # a Cyrillic o
    assert not consent.is_given("r\u0435fus\u0435d")
    assert not consent.is_given("n\u03bft given")  # a Greek one


# ── a later statement ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("statement", [*WITHDRAWN, *REFUSED, *OPEN, *YES])
def test_what_a_source_said_itself_holds_against_one_statement_for_all(statement: str) -> None:
    again = merge_with_earlier(source("everybody agreed", asserted=True), source(statement))
    assert again.facts["consent"]["statement"] == statement


@pytest.mark.parametrize("statement", NOTHING)
def test_a_cell_that_said_nothing_does_not_hold_against_a_later_statement_for_all(statement: str) -> None:
    again = merge_with_earlier(source("everybody agreed", asserted=True), source(statement))
    assert again.facts["consent"] == {"statement": "everybody agreed", "asserted": True}


@pytest.mark.parametrize("statement", ["withdrawn", "no", "pending"])
def test_a_refusal_for_all_replaces_consent(statement: str) -> None:
    again = merge_with_earlier(source(statement, asserted=True), source("signed"))
    assert again.facts["consent"] == {"statement": statement, "asserted": True}
