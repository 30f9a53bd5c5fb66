"""Renders the labelling pages and guides from annotation_templates/ and the vocabularies (Jinja).

A template is a folder there with config.xml (the page for Label Studio) and guide.md (for annotators). checks.py finds faults
in a rendered page, tasks.py builds the data that a page shows.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deemo_data.errors import ConfigError, ProjectError
from deemo_data.labels.vocabulary import Emotions, Nfbl

# Beside the package, in a checkout and in a wheel.
TEMPLATES_FOLDER = Path(__file__).resolve().parents[3] / "annotation_templates"
REINSTALL_ADVICE = "Install deemo-data again: annotation_templates lies beside the package"
SINGLE_KEYS = "1234567890qwertyiopasdfghjklzxcvbnm"  # keys for classes, in order of use; u is missing because the editor uses it
FIRST_UNTYPABLE_CODE = 0xE000  # characters from here on (private use area) are on no keyboard
# Contrast of at least 4.5 : 1 on white, and distinct for every kind of colour blindness. The ninth group begins again.
GROUP_COLOURS = ("#0072b2", "#b74900", "#9800ff", "#491c25", "#000066", "#e00059", "#661400", "#8e0072")
ANNOTATOR_COLOURS = ("#5a5a5a", "#8e0000", "#117c3c", "#7c117c")  # of the versions that an adjudicator sees


@dataclass(frozen=True)
class PageSize:
    """Heights in px at which the whole page lies above the bottom bar of a window."""

    video: int
    timeline: int


PAGE_SIZES = {"1440x900": PageSize(400, 180), "1280x720": PageSize(260, 140)}


def list_templates() -> tuple[str, ...]:
    """The names of the templates: folders with a config.xml. Raises ProjectError when there is none."""
    names = tuple(sorted(path.parent.name for path in TEMPLATES_FOLDER.glob("*/config.xml")))
    if not names:
        raise ProjectError("annotation_templates is not there", REINSTALL_ADVICE)
    return names


def render_page(name: str, nfbl: Nfbl, emotions: Emotions, size: str = "1440x900", annotators: int = 2) -> str:
    """The labelling config of a template, XML for Label Studio.

    size        the window it is made for, one of PAGE_SIZES
    annotators  how many annotators' versions an adjudicator sees, 1 to 26
    Raises ConfigError for an unknown template or size, and for a name that cannot be written in XML.
    """
    if size not in PAGE_SIZES:
        raise ConfigError(f"there is no page for a window of {size!r}", f"Sizes: {', '.join(PAGE_SIZES)}")
    if not 1 <= annotators <= 26:
        raise ConfigError(f"{annotators} annotators for a clip", "Give a number from 1 to 26")
    letters = "abcdefghijklmnopqrstuvwxyz"[:annotators]
    config = _render_file(
        name, "config.xml", nfbl, emotions,
        size=PAGE_SIZES[size],
        annotators=[{"letter": x, "colour": ANNOTATOR_COLOURS[n % len(ANNOTATOR_COLOURS)]} for n, x in enumerate(letters)],
        no_key=lambda n: chr(FIRST_UNTYPABLE_CODE + n),
    )  # fmt: skip
    if invalid := re.search("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", config):
        advice = "Take it out of the vocabulary"
        raise ConfigError(f"template {name}: the character {invalid[0]!r} cannot be written in XML", advice)
    return config


def render_guide(name: str, nfbl: Nfbl, emotions: Emotions) -> str:
    """The guide of a template for annotators, Markdown. Its pictures lie beside it."""
    path = TEMPLATES_FOLDER / name / "examples.toml"
    try:
        examples = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"template {name}: examples.toml: {e}", "Mend that line and run again") from e
    return _render_file(name, "guide.md", nfbl, emotions, examples=examples)


def read_hotkeys() -> dict[str, Any]:
    """Our hotkeys, as the body of PATCH /api/current-user/hotkeys/. Hotkeys belong to an account: each annotator needs them."""
    return dict(json.loads(read_template_file("hotkeys.json")))


def keys_of_classes(nfbl: Nfbl) -> dict[str, str]:
    """{class: key}, assigned in the order of the page, group by group. Classes beyond the number of keys (35) have none."""
    ordered = [c.name for group in nfbl.groups for c in nfbl.classes if c.group == group]
    return dict(zip(ordered, SINGLE_KEYS, strict=False))


def _render_file(template: str, file: str, nfbl: Nfbl, emotions: Emotions, **variables: Any) -> str:
    """Render a file of a template with Jinja. Raises ConfigError that names the file and, if known, the line."""
    import jinja2

    if template not in list_templates():
        raise ConfigError(f"there is no template {template!r}", f"Templates: {', '.join(list_templates())}")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES_FOLDER), autoescape=file.endswith(".xml"), undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["plain"] = lambda text: re.sub(r"([\\`*_\[\]<>|#~&$])", r"\\\1", " ".join(str(text).split()))
    variables |= {
        "nfbl": nfbl, "emotions": emotions, "keys": keys_of_classes(nfbl), "colours": GROUP_COLOURS,
        "sentiment_keys": dict(zip(emotions.sentiments, SINGLE_KEYS[:10], strict=False)),
        "emotion_keys": dict(zip(emotions.labels, SINGLE_KEYS[10:], strict=False)),
    }  # fmt: skip
    try:
        return environment.get_template(f"{template}/{file}").render(variables)
    except jinja2.TemplateSyntaxError as e:
        raise ConfigError(f"template {e.name}, line {e.lineno}: {e.message}", "Mend that line and run again") from e
    except jinja2.TemplateError as e:
        raise ConfigError(f"template {template}/{file}: {type(e).__name__}: {e}", "Mend it and run again") from e


def read_template_file(name: str) -> str:
    """A text file of annotation_templates/. Raises ProjectError when it is missing."""
    try:
        return (TEMPLATES_FOLDER / name).read_text("utf-8")
    except OSError as e:
        raise ProjectError(f"annotation_templates/{name} is not there", REINSTALL_ADVICE) from e
