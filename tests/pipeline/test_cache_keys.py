"""The keys of all stages for made-up inputs, written down at commit e84e7ee, before the code moved into packages.

A key that differs means that every project of that time does its work again. Change a line of cache_keys.json only with a
raised `version`, or with a parameter that is meant to change. A new stage has new lines; the failing test shows them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.pipeline.order import STAGE_ORDER
from deemo_data.pipeline.store import StageEntries
from deemo_data.project.config import PROFILES, profile_text, read_config

KEYS = json.loads(Path(__file__).with_name("cache_keys.json").read_text())
FILES = {"source"} | {name for stage in STAGE_ORDER for name in stage.makes}


def key_of(stage: Any) -> str:
    """The key for a made-up clip that has just what the stage needs. The digests and facts depend on the names only."""
    names = [name for name in stage.needs if name != "secret"]
    files = {name: File(f"/x/{name}", hashlib.sha256(name.encode()).hexdigest()) for name in names if name in FILES}
    facts: dict[str, Any] = {name: {"made": name} for name in names if name not in FILES}
    clip = Clip("c" * 16, "s" * 16, 1000, 5000, files, facts)
    return Path(StageEntries(stage, Path("/st"), b"0" * 32).entry_dir(clip)).name


def test_the_keys_of_all_stages_are_what_they_were() -> None:
    keys = {stage.__name__: key_of(stage()) for stage in STAGE_ORDER}
    assert keys == {name: key for name, key in KEYS.items() if "/" not in name}


def test_the_keys_of_both_profiles_are_what_they_were(tmp_path: Path) -> None:
    keys = {}
    for profile in PROFILES:
        path = tmp_path / f"{profile}.toml"
        path.write_text(profile_text(profile))
        for number, attempt in enumerate(read_config(path).attempts):
            keys |= {f"{profile}/{number}/{type(stage).__name__}": key_of(stage) for stage in attempt}
    assert keys == {name: key for name, key in KEYS.items() if "/" in name}
