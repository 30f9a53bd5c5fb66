"""The keys of all stages for a made-up clip, written down at commit e84e7ee, before the code moved into packages.

A key that differs means that every project of that time does its work again. Change cache_keys.json only together with a raised
`version` of a stage, or with a parameter that is meant to change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.pipeline.order import INITIAL_INPUTS, STAGE_ORDER
from deemo_data.pipeline.store import StageEntries
from deemo_data.project.config import PROFILES, profile_text, read_config

KEYS = json.loads(Path(__file__).with_name("cache_keys.json").read_text())


@pytest.fixture
def clip() -> Clip:
    """A clip that has every file and fact that any stage asks for, all of them made up."""
    names = sorted({name for stage in STAGE_ORDER for name in stage.makes} | {"source"})
    files = {name: File(f"/x/{name}", format(number + 1, "064x")) for number, name in enumerate(names)}
    facts: dict[str, Any] = {
        name: {"made": name}
        for name in sorted({name for stage in STAGE_ORDER for name in stage.tells} | set(INITIAL_INPUTS) - {"source", "secret"})
    }
    return Clip("c" * 16, "s" * 16, 1000, 5000, files, facts)


def key_of(stage: Any, clip: Clip) -> str:
    return Path(StageEntries(stage, Path("/st"), b"0" * 32).entry_dir(clip)).name


def test_the_keys_of_all_stages_are_what_they_were(clip: Clip) -> None:
    keys = {stage.__name__: key_of(stage(), clip) for stage in STAGE_ORDER}
    assert keys == {name: key for name, key in KEYS.items() if "/" not in name}


def test_the_keys_of_both_profiles_are_what_they_were(clip: Clip, tmp_path: Path) -> None:
    keys = {}
    for profile in PROFILES:
        path = tmp_path / f"{profile}.toml"
        path.write_text(profile_text(profile))
        for number, attempt in enumerate(read_config(path).attempts):
            keys |= {f"{profile}/{number}/{type(stage).__name__}": key_of(stage, clip) for stage in attempt}
    assert keys == {name: key for name, key in KEYS.items() if "/" in name}
