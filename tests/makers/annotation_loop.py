"""Makers that tests of several packages share; taken from test_annotation_loop."""

from __future__ import annotations

from typing import Any

from deemo_data.annotation.pages.tasks import region_json


def marked(start: int, end: int, label: str = "Folding arms", id_: str = "r1") -> dict[str, Any]:
    return region_json({"id": id_, "label": label, "start_frame": start, "end_frame": end, "score": 1, "why": ""})
