"""What is computed about somebody who withdraws meanwhile is not kept."""

from __future__ import annotations

import fcntl
import json

import pytest

from deemo_data.clip import Clip
from deemo_data.errors import ProjectError
from deemo_data.project import withdrawals
from deemo_data.project.clips import read_sources_by_id
from deemo_data.project.project import Project
from tests.makers.people import project as project  # the fixture

SOURCE = "aaaaaaaaaaaa"


def is_locked(project: Project) -> bool:
    with open(project.private_dir / "lock", "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_results_are_kept_under_the_lock(project: Project) -> None:
    before = withdrawals.read_marks(project)
    with withdrawals.unless_withdrawn(project, before):
        assert is_locked(project)
        project.write_report("measured.json", {})
    assert not is_locked(project)
    assert json.loads((project.out_dir / "measured.json").read_text()) == {}


def test_results_about_somebody_who_withdrew_are_not_kept(project: Project) -> None:
    withdrawals.record_withdrawal(project, ["bbbbbbbbbbbb"], [], clips=1, labels=0)
    before = withdrawals.read_marks(project)
    withdrawals.record_withdrawal(project, [SOURCE], [], clips=1, labels=0)
    with pytest.raises(ProjectError, match="somebody withdrew"), withdrawals.unless_withdrawn(project, before):
        pytest.fail("the results are kept")
    assert not is_locked(project)
    with withdrawals.unless_withdrawn(project, withdrawals.read_marks(project)):
        pass


def test_what_was_made_of_their_clips_meanwhile_is_erased(project: Project) -> None:
    before = withdrawals.read_marks(project)
    (source,) = [s for i, s in read_sources_by_id(project).items() if i == SOURCE]
    clips = [Clip.of_span(source, 0, 4000)]
    withdrawals.record_withdrawal(project, [SOURCE], [], clips=1, labels=0)
    lists = project.root / "sources.jsonl"
    lists.write_text("".join(line for line in lists.read_text().splitlines(keepends=True) if SOURCE not in line))
    with pytest.raises(ProjectError), withdrawals.unless_withdrawn(project, before, clips):
        pytest.fail("the results are kept")
    stored = [json.loads(path.read_text())["source"] for path in project.store_dir.glob("*/*/entry.json")]
    assert stored == ["bbbbbbbbbbbb"] * 2


def test_a_last_withdrawal_that_an_editor_left_without_a_newline_holds(project: Project) -> None:
    withdrawals.record_withdrawal(project, [SOURCE], [], clips=1, labels=0)
    path = project.root / "withdrawn.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    (source,) = [s for i, s in read_sources_by_id(project).items() if i == SOURCE]
    assert withdrawals.withdrawn_at(project, source)
    withdrawals.record_withdrawal(project, ["bbbbbbbbbbbb"], [], clips=1, labels=0)
    assert withdrawals.withdrawn_at(project, source)
    assert len(path.read_text().splitlines()) == 2
