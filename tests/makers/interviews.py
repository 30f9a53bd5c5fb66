"""Makers that tests of several packages share; taken from preannotation/test_moments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deemo_data.clip import Clip, SafeClip
from deemo_data.files import File
from deemo_data.models.language_model import LanguageModel
from deemo_data.project import release
from deemo_data.project.project import Project
from tests.makers.language_model import StandIn
from tests.makers.measures import made_up


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


def model(stand_in: StandIn, **more: Any) -> LanguageModel:
    return LanguageModel(**{"address": stand_in.address, "model": "stub-1", "timeout_s": 5.0, "retries": 0, **more})


PLANTED = (
    "Rafael",
    "Nadelmann",
    "Wimbledon",
    "Jane",
    "Doering",
    "rafael.nadelmann@example.org",
    "Sunderland",
    "filed-by-Kowalski",
)


@pytest.fixture
def interview(tmp_path: Path) -> tuple[Project, list[SafeClip]]:
    """A project full of names in everything private, and its released clips."""
    project = Project.make(tmp_path / "Rafael Nadelmann at Wimbledon", "hardened")
    clips = []
    for n in range(3):
        public = made_up(project.store_dir, f"c-{n}", transcript="I was so happy for [NAME], it was a great day in [PLACE].")
        files = {"public_body": public.files["body"], "prosody": public.files["prosody"]}
        for name, text in {
            "safe": "bytes", "leaks": "{}", "source": "bytes",
            "words": json.dumps({"words": [[0, 900, "Rafael Nadelmann", 0.9], [900, 1500, "Wimbledon", 0.9]]}),
            "turns": json.dumps({"speaker": "Jane Doering"}),
        }.items():  # fmt: skip
            path = project.store_dir / f"{name} of Rafael Nadelmann {n}.bin"
            path.write_text(text)
            files[name] = File.of(path)
        facts = public.facts | {
            "known_names": ["Rafael Nadelmann"], "subject_name": "Rafael Nadelmann", "spans": [[0, 1]], "leaks_passed": True,
            "subject": "s-5d0c0ffee123", "subject_assumed": False, "licence": "by permission of Jane Doering",
            "consent": {"statement": "signed by Rafael Nadelmann, filed-by-Kowalski, nadelmann@example.org",
                        "asserted": False},
            "leaks_summary": {"by": ["Sunderland"]}, "proposals": [],
        }  # fmt: skip
        clips.append(Clip(f"0123456789ab-{n}-9000", "0123456789ab", 0, 10_000, files, facts))
    return project, [release.release_clip(c, project) for c in clips]
