"""The pages annotators work on: rendered from the vocabularies, and searched for what Label Studio would not complain about."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from deemo_data.clip import write_if_changed
from deemo_data.errors import ConfigError, LabelError, ProjectError
from deemo_data.vocabulary import Emotions, Nfbl

FOLDER = Path(__file__).resolve().parents[1] / "annotation_templates"  # beside the package, in a checkout and in a wheel
REINSTALL = "Install deemo-data again: annotation_templates lies beside the package"
DRAFTS = ("draft_clue_video", "draft_clue_audio", "draft_clue_text", "draft_reasoning")  # empty but on the page mer_clues
DATA = (
    "clip",
    "template",
    "video",
    "fps",
    "num_frames",
    "title",
    "transcript",
    "events_text",
    *DRAFTS,
)  # what sheets.data_of gives
KEYS = "1234567890qwertyiopasdfghjklzxcvbnm"  # the single keys that work: u is the editor's
NEVER = ("u", "space", "ctrl+space", "ctrl+d")  # unselects, eats what is typed, skips the clip, kills the page
NAMED_KEYS = {
    "backspace", "tab", "clear", "enter", "return", "esc", "escape", "space", "left", "up", "right", "down", "del", "delete",
    "home", "end", "pageup", "pagedown", *(f"f{n}" for n in range(1, 20)), *"abcdefghijklmnopqrstuvwxyz0123456789,./`-=;'[]\\",
}  # fmt: skip
NO_KEYBOARD = 0xE000  # characters from here on (private use) are on no keyboard
# At least 4.5 : 1 against white, and apart for every kind of colour blindness; from the ninth group on they come again.
COLOURS = ("#0072b2", "#b74900", "#9800ff", "#491c25", "#000066", "#e00059", "#661400", "#8e0072")
OTHERS = "ann_"  # how the names of others' events begin, which are shown and locked: pull drops what comes back under them
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
    return dict(json.loads(_text("hotkeys.json")))


def write(folder: Path, nfbl: Nfbl, emotions: Emotions, annotators: int = 2) -> list[Path]:
    """All templates as files: NAME/config.SIZE.xml, NAME/guide.md and its pictures, hotkeys.json; what is the same stays.

    Raises LabelError, and writes nothing, when a page has a fault.
    """
    made: dict[Path, str | bytes] = {folder / "hotkeys.json": json.dumps(hotkeys(), indent=2) + "\n"}
    for name in names():
        for size in SIZES:
            config = render(name, nfbl, emotions, size, annotators)
            if found := faults(config, nfbl, emotions):
                more = f" (and {len(found) - 1} more)" if found[1:] else ""
                raise LabelError(f"template {name}: {found[0]}{more}", "Mend the vocabulary or the template")
            made[folder / name / f"config.{size}.xml"] = config
        made[folder / name / "guide.md"] = guide(name, nfbl, emotions)
        made |= {folder / name / path.name: path.read_bytes() for path in sorted((FOLDER / name).glob("*.png"))}
    for path, content in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_if_changed(path, content)
    return list(made)


def keys_of(nfbl: Nfbl) -> dict[str, str]:
    """Class -> its key, given out in the order of the page: group by group. With more than 35 classes the rest has none."""
    shown = [c.name for group in nfbl.groups for c in nfbl.classes if c.group == group]
    return dict(zip(shown, KEYS, strict=False))


def faults(config: str, nfbl: Nfbl, emotions: Emotions) -> list[str]:
    """What is wrong with a labelling config, a line each: what the SDK finds, and what it and the server let through."""
    from label_studio_sdk._legacy import exceptions as sdk
    from label_studio_sdk.label_interface.interface import LabelInterface

    try:
        LabelInterface(config).validate()
        root = ElementTree.fromstring(config)
    except (
        sdk.LabelStudioValidationErrorSentryIgnored, sdk.LabelStudioXMLSyntaxErrorSentryIgnored,
        ElementTree.ParseError, ValueError,
    ) as e:  # fmt: skip
        return [" ".join(str(e).split())]
    unseen = list(_unseen(root, _hidden_classes(root), False))
    return [*_timelines(root, unseen), *_words(root, nfbl, emotions), *_keys(root, unseen), *_objects(root)]


def _hidden_classes(root: Element) -> set[str]:
    """Names of classes that a Style of the page does not show."""
    rules = re.findall(r"([^{}]*)\{[^{}]*display:\s*none", "".join(style.text or "" for style in root.iter("Style")))
    selectors = [part for rule in rules for part in rule.split(",")]
    return {found[1] for part in selectors if (found := re.search(r"\.([\w-]+)\s*$", part))}


def _unseen(tag: Element, classes: set[str], above: bool) -> Iterator[Element]:
    """The tags that nobody sees."""
    hidden = above or bool(
        re.search(r"display:\s*none", tag.get("style", "")) or classes & set(tag.get("className", "").split()),
    )
    if hidden:
        yield tag
    for child in tag:
        yield from _unseen(child, classes, hidden)


def _timelines(root: Element, unseen: list[Element]) -> Iterator[str]:
    videos = {video.get("name") for video in root.iter("Video")}
    timelines = list(root.iter("TimelineLabels"))
    seen = [t for t in timelines if t not in unseen]
    for t in timelines:
        name = t.get("name", "")
        if t.get("toName") not in videos:
            yield f"TimelineLabels {name}: {t.get('toName')!r} is no Video"
        if t in unseen and not name.startswith(OTHERS):
            yield f"TimelineLabels {name} is hidden and its name does not begin with {OTHERS}: pull would read it"
        if t not in unseen and name.startswith(OTHERS):
            yield f"TimelineLabels {name} is shown and its name begins with {OTHERS}: pull would drop what is drawn"
    if timelines and not seen:
        yield "no TimelineLabels is shown: nothing can be drawn"
    elif timelines and timelines[0] is not seen[0]:
        yield f"TimelineLabels {timelines[0].get('name')} is hidden and stands first: {seen[0].get('name')} cannot draw after it"
    for t in seen[1:]:
        yield f"TimelineLabels {t.get('name')} is a second one that is shown: only the first can draw"


def _words(root: Element, nfbl: Nfbl, emotions: Emotions) -> Iterator[str]:
    wanted = {"emotion": (emotions.labels, emotions.said), "sentiment": (list(emotions.sentiments), emotions.said)}
    lists = [(t, "Label", nfbl.labels, nfbl.said) for t in root.iter("TimelineLabels")]
    lists += [(c, "Choice", *wanted[c.get("name", "")]) for c in root.iter("Choices") if c.get("name") in wanted]
    for tag, kind, known, said in lists:
        this = f"{tag.tag} {tag.get('name')}"
        shown = [x.get("value", "") for x in tag.iter(kind)]
        yield from (f"{this}: {x!r} is there twice" for x in sorted({x for x in shown if shown.count(x) > 1}))
        yield from (f"{this}: {x!r} is not in vocabulary {said}" for x in shown if x not in known)
        yield from (f"{this}: {x!r} of vocabulary {said} is missing" for x in known if x not in shown)
    for value in dict.fromkeys(x.get("value", "") for x in root.iter() if x.tag in ("Label", "Choice")):
        if "," in value:
            yield f"label {value!r} has a comma: Label Studio would split it there"


def _keys(root: Element, unseen: list[Element]) -> Iterator[str]:
    taken, given = _taken(), dict[str, str]()
    for tag in root.iter():
        this = f"{tag.tag} {tag.get('value') or tag.get('name')!s}"
        palette = tag.tag == "Label" and tag in unseen
        if palette and not _no_key(tag.get("hotkey", "")):
            yield f"{this}: it is hidden and needs a key that no keyboard has, else the editor gives it one"
        for key in _spellings(tag.get("hotkey", "")):
            if key in NEVER:
                yield f"{this}: {key} must not be used"
            elif key in taken:
                yield f"{this}: {key} is the editor's, for {taken[key]}"
            elif not palette and key.split("+")[-1] not in NAMED_KEYS:
                yield f"{this}: {key} is no key that the editor knows"
            if key in given:
                yield f"{this}: {key} is the key of {given[key]} too"
            given.setdefault(key, this)


def _spellings(hotkey: str) -> list[str]:
    """The keys of an attribute, as the editor reads them: lower case, several with commas between."""
    keys = [k for k in re.sub(r"\s", "", hotkey.lower()).split(",") if k]
    return ["+".join([*sorted(k.split("+")[:-1]), k.split("+")[-1]]) for k in keys]


def _no_key(hotkey: str) -> bool:
    return len(hotkey) == 1 and ord(hotkey) >= NO_KEYBOARD


def _taken() -> dict[str, str]:
    """Key -> what the editor does with it, as it is shipped and with our hotkeys."""
    said = json.loads(_text("editor_keys.json"))
    ours = {name.split(":", 1)[1]: x["key"] for name, x in hotkeys()["custom_hotkeys"].items() if x["active"]}
    pairs = [*said["keymap"].items(), *said["beside_the_keymap"].items(), *ours.items()]
    return {spelling: name for name, key in pairs for spelling in _spellings(key)}


def _objects(root: Element) -> Iterator[str]:
    for tag in root.iter():
        this = f"{tag.tag} {tag.get('name') or tag.get('value')!s}"
        for attribute, value in tag.attrib.items():
            for name in re.findall(r"\$([\w\[\].{}]+)", value) if attribute != "hint" else ():
                if tag.tag in ("Label", "Choice"):
                    yield f"{this}: ${name} would be replaced by what the clip's data say"
                elif name not in DATA:
                    yield f"{this}: {attribute} asks for ${name}; there is {', '.join(f'${d}' for d in DATA)}"
    for video in root.iter("Video"):
        if video.get("frameRate") != "$fps":
            yield f'Video {video.get("name")}: frameRate must be "$fps", or frames are counted at 24 a second'
    syncs = {(tag.tag, tag.get("name"), tag.get("sync")) for tag in root.iter() if tag.tag in ("Video", "Audio")}
    if len({sync for *_, sync in syncs}) > 1 or (len(syncs) > 1 and (None in {sync for *_, sync in syncs})):
        said = ", ".join(f"{tag} {name}: {sync}" for tag, name, sync in sorted(syncs, key=str))
        yield f"Video and Audio need the same sync ({said})"


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


def _text(name: str) -> str:
    try:
        return (FOLDER / name).read_text("utf-8")
    except OSError as e:
        raise ProjectError(f"annotation_templates/{name} is not there", REINSTALL) from e
