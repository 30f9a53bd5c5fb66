"""Reads what an annotation says about a whole clip: choices, texts, ratings."""

from __future__ import annotations

import re
from typing import Any

from deemo_data.annotation.reading.shown import is_number
from deemo_data.annotation.reading.state import Reading

TEXT_KINDS = ("clue_video", "clue_audio", "clue_text", "reasoning")
CHOICE_KINDS = ("emotion", "sentiment")


def read_answer(result: dict[str, Any], key: str, location: str, reading: Reading) -> tuple[str, Any] | None:
    """(kind, value) of an answer about the whole clip. None, with a problem, when it cannot be read."""
    name, value = result["from_name"], result["value"]
    choices, lines = value.get("choices"), lines_of_text(value)
    wrong = ""
    if result.get("type") == "choices" and isinstance(choices, list) and choices:
        if name not in CHOICE_KINDS:
            return "choice", {"name": name, "choices": choices}
        allowed = reading.emotions.labels if name == "emotion" else reading.emotions.sentiments
        matches = [k for k in allowed for c in choices if k.casefold() == str(c).strip().casefold()]
        if len(matches) == 1 == len(choices):
            return name, matches[0]
        wrong = f"{name} {', '.join(map(str, choices))!r} is not one of vocabulary {reading.emotions.versioned_name}"
    elif result.get("type") == "textarea" and lines:
        if name == "emotion_words":
            return name, [w.strip().lower() for t in lines for w in re.split(r"[,;\n]", t) if w.strip()]
        return (name, "\n".join(lines)) if name in TEXT_KINDS else ("text", {"name": name, "text": "\n".join(lines)})
    elif result.get("type") == "rating" and is_number(value.get("rating")):
        return "rating", {"name": name, "rating": value["rating"]}
    reading.problems.append(f"{location}: {wrong or f'{name} says nothing that can be read'}, left out")
    reading.unread.add(key)
    return None


def lines_of_text(value: dict[str, Any]) -> list[str]:
    """The lines of a text box that are not empty."""
    text = value.get("text")
    lines = [text] if isinstance(text, str) else text if isinstance(text, list) else []
    return [str(t).strip() for t in lines if str(t).strip()]


def choices_of(result: dict[str, Any]) -> list[Any]:
    choices = result["value"].get("choices")
    return choices if isinstance(choices, list) else []
