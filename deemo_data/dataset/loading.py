"""The line of Python that loads a dataset with `datasets`, for any folder that it lies in.

`datasets` takes "[", "*" and "?" in the path of a folder for patterns, and "::" for the end of a path. A folder with the former
loads when its files are named beside it, with these characters escaped; one with the latter does not load at all.
"""

from __future__ import annotations

import glob
import json
from pathlib import Path

from deemo_data.dataset.layout import SPLITS, TABLES

PATTERN_CHARACTERS = "[*?"


def render_loading_call(folder: Path, config: str = "nfbl") -> str:
    """A Python expression that loads a config of the dataset in `folder`; empty when `datasets` cannot read that folder."""
    path = str(folder.absolute() if str(folder).startswith("~") else folder)
    if not has_pattern(folder):
        return "" if "::" in str(folder.resolve()) else f'datasets.load_dataset({_quote(path)}, "{config}")'
    whole = str(folder.resolve())
    if "::" in whole or "$" in whole or not _is_text(whole):
        return ""
    files = {
        split: [
            _quote(glob.escape(f"{whole}/{split}/{TABLES[config]}")),
            _quote(f"{glob.escape(f'{whole}/{split}')}/clips/*.mp4"),
        ]
        for split in SPLITS
        if (folder / split / TABLES[config]).is_file()
    }
    listed = ", ".join(f'"{split}": [{", ".join(names)}]' for split, names in files.items())
    return f'datasets.load_dataset({_quote(whole)}, "{config}", data_files={{{listed}}})'


def explain_loading(folder: Path) -> list[str]:
    """What to tell about loading a dataset from a folder whose path `datasets` misreads; empty when it reads it as it stands."""
    if not has_pattern(folder) and render_loading_call(folder):
        return []
    call = render_loading_call(folder)
    if not call:
        return [f"{folder}: datasets.load_dataset cannot read from a path with these characters. Copy the folder to another path"]
    advice = f"Copy the folder to a path without them, or type: {call}"
    return [f"{folder}: datasets.load_dataset takes [ * ? in a path for patterns. {advice}"]


def has_pattern(folder: Path) -> bool:
    """Whether `datasets` would take the path of a folder for a pattern."""
    return any(c in str(folder.resolve()) for c in PATTERN_CHARACTERS)


def _quote(text: str) -> str:
    """A Python literal of a text, in double quotes."""
    return json.dumps(text, ensure_ascii=not _is_text(text))


def _is_text(path: str) -> bool:
    """Whether a path can be written in UTF-8: one that was made in another encoding cannot."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
