"""Which statement is consent: one rule for the release, the intake and the check of datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deemo_data import consent
from deemo_data.clip import Clip
from deemo_data.dataset.validation.findings import Findings
from deemo_data.dataset.validation.rows import check_clip
from deemo_data.sources.intake import merge_with_earlier

NO = ["", " ", "none", "no", "None", "NO", " none", "no\n", "\tNone "]
WITHDRAWN = ["withdrawn", "Withdrawn", " WITHDRAWN ", "withdrawn\n"]
YES = ["yes", "signed", "none of them objected", "no objection", "not withdrawn", "withdrawn in part", "n/o", "nein"]
SOURCE = Clip("a", "a", 0, 1000, {}, {"licence": "", "spans": [], "subject_assumed": False})


def source(statement: str | None, asserted: bool = False) -> Clip:
    consent_fact = None if statement is None else {"statement": statement, "asserted": asserted}
    return replace(SOURCE, facts={**SOURCE.facts, "consent": consent_fact})


@pytest.mark.parametrize("statement", [*NO, *WITHDRAWN, *YES])
def test_one_rule_decides_everywhere(statement: str) -> None:
    findings = Findings()
    check_clip({"consent": {"statement": statement, "asserted": False}}, "here", findings)
    assert consent.is_given(statement) == (statement in YES)
    assert consent.is_withdrawn(statement) == (statement in WITHDRAWN)
    assert consent.has_consent(source(statement)) == (statement in YES)
    assert (findings.items == []) == (statement in YES)


@pytest.mark.parametrize("nothing", [None, {}, {"statement": None}])
def test_nothing_said_is_no_consent(nothing: Any) -> None:
    assert not consent.has_consent(replace(SOURCE, facts={"consent": nothing}))
    assert not consent.has_consent(replace(SOURCE, facts={}))
    assert not consent.is_given(None)
    assert not consent.is_withdrawn(None)


@pytest.mark.parametrize("statement", [*WITHDRAWN, *YES])
def test_what_a_source_said_itself_holds_against_one_statement_for_all(statement: str) -> None:
    again = merge_with_earlier(source("everybody agreed", asserted=True), source(statement))
    assert again.facts["consent"]["statement"] == statement


@pytest.mark.parametrize("statement", NO)
def test_a_refusal_does_not_hold_against_a_later_statement_for_all(statement: str) -> None:
    """Also one with blanks around it: the intake compared it as it stood."""
    again = merge_with_earlier(source("everybody agreed", asserted=True), source(statement))
    assert again.facts["consent"] == {"statement": "everybody agreed", "asserted": True}
