"""Renders annotation_templates, guides, hotkeys."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deemo_data.errors import ConfigError, ProjectError
from deemo_data.labels.vocabulary import Emotions, Nfbl

FOLDER = Path(__file__).resolve().parents[3] / "annotation_templates"  # beside the package, in a checkout and in a wheel
REINSTALL = "Install deemo-data again: annotation_templates lies beside the package"
KEYS = "1234567890qwertyiopasdfghjklzxcvbnm"  # the single keys that work: u is the editor's
NO_KEYBOARD = 0xE000  # characters from here on (private use) are on no keyboard
# At least 4.5 : 1 against white, and apart for every kind of colour blindness; from the ninth group on they come again.
COLOURS = ("#0072b2", "#b74900", "#9800ff", "#491c25", "#000066", "#e00059", "#661400", "#8e0072")
ANNOTATORS = ("#5a5a5a", "#8e0000", "#117c3c", "#7c117c")  # of those whose work the adjudicator sees


@dataclass(frozen=True)
class Size:
    """Heights in px with which everything lies above the bottom bar of a window."""

    video: int
    timeline: int


SIZES = {"1440x900": Size(400, 180), "1280x720": Size(260, 140)}


def names() -> tuple[str, ...]:
    """The templates there are: the folders that hold a config.xml. Raises ProjectError when none is there."""
    found = tuple(sorted(path.parent.name for path in FOLDER.glob("*/config.xml")))
    if not found:
        raise ProjectError("annotation_templates is not there", REINSTALL)
    return found


def render(name: str, nfbl: Nfbl, emotions: Emotions, size: str = "1440x900", annotators: int = 2) -> str:
    """The labelling config of a template, XML for Label Studio.

    size        the window it is made for, one of SIZES
    annotators  how many people's versions the adjudicator sees
    Raises ConfigError when there is no such template or size, or a name cannot be written in XML.
    """
    if size not in SIZES:
        raise ConfigError(f"there is no page for a window of {size!r}", f"Sizes: {', '.join(SIZES)}")
    if not 1 <= annotators <= 26:
        raise ConfigError(f"{annotators} annotators for a clip", "Give a number from 1 to 26")
    letters = "abcdefghijklmnopqrstuvwxyz"[:annotators]
    config = _page(
        name, "config.xml", nfbl, emotions,
        size=SIZES[size],
        annotators=[{"letter": x, "colour": ANNOTATORS[n % len(ANNOTATORS)]} for n, x in enumerate(letters)],
        no_key=lambda n: chr(NO_KEYBOARD + n),
    )  # fmt: skip
    if strange := re.search("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", config):
        advice = "Take it out of the vocabulary"
        raise ConfigError(f"template {name}: the character {strange[0]!r} cannot be written in XML", advice)
    return config


def guide(name: str, nfbl: Nfbl, emotions: Emotions) -> str:
    """What annotators read about a template, Markdown. Pictures lie beside it."""
    path = FOLDER / name / "examples.toml"
    try:
        examples = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"template {name}: examples.toml: {e}", "Mend that line and run again") from e
    return _page(name, "guide.md", nfbl, emotions, examples=examples)


def hotkeys() -> dict[str, Any]:
    """The body of a PATCH of /api/current-user/hotkeys/: it belongs to one person, so each annotator needs it."""
    return dict(json.loads(read_text("hotkeys.json")))


def keys_of(nfbl: Nfbl) -> dict[str, str]:
    """Class -> its key, given out in the order of the page: group by group. With more than 35 classes the rest has none."""
    shown = [c.name for group in nfbl.groups for c in nfbl.classes if c.group == group]
    return dict(zip(shown, KEYS, strict=False))


def _page(template: str, file: str, nfbl: Nfbl, emotions: Emotions, **more: Any) -> str:
    import jinja2

    if template not in names():
        raise ConfigError(f"there is no template {template!r}", f"Templates: {', '.join(names())}")
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=file.endswith(".xml"), undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    pages.filters["plain"] = lambda text: re.sub(r"([\\`*_\[\]<>|#~&$])", r"\\\1", " ".join(str(text).split()))
    said = {
        "nfbl": nfbl, "emotions": emotions, "keys": keys_of(nfbl), "colours": COLOURS,
        "sentiment_keys": dict(zip(emotions.sentiments, KEYS[:10], strict=False)),
        "emotion_keys": dict(zip(emotions.labels, KEYS[10:], strict=False)),
    }  # fmt: skip
    try:
        return pages.get_template(f"{template}/{file}").render(said | more)
    except jinja2.TemplateSyntaxError as e:
        raise ConfigError(f"template {e.name}, line {e.lineno}: {e.message}", "Mend that line and run again") from e
    except jinja2.TemplateError as e:
        raise ConfigError(f"template {template}/{file}: {type(e).__name__}: {e}", "Mend it and run again") from e


def read_text(name: str) -> str:
    try:
        return (FOLDER / name).read_text("utf-8")
    except OSError as e:
        raise ProjectError(f"annotation_templates/{name} is not there", REINSTALL) from e
