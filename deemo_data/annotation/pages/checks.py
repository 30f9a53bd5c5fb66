"""What is wrong with a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from deemo_data.annotation.pages.templates import FOLDER, NO_KEYBOARD, SIZES, guide, hotkeys, names, read_text, render
from deemo_data.errors import LabelError
from deemo_data.files import write_if_changed
from deemo_data.labels.label import DRAFTS, OTHERS
from deemo_data.labels.vocabulary import Emotions, Nfbl

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
NEVER = ("u", "space", "ctrl+space", "ctrl+d")  # unselects, eats what is typed, skips the clip, kills the page
NAMED_KEYS = {
    "backspace", "tab", "clear", "enter", "return", "esc", "escape", "space", "left", "up", "right", "down", "del", "delete",
    "home", "end", "pageup", "pagedown", *(f"f{n}" for n in range(1, 20)), *"abcdefghijklmnopqrstuvwxyz0123456789,./`-=;'[]\\",
}  # fmt: skip


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
    said = json.loads(read_text("editor_keys.json"))
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
