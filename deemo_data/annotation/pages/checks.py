"""Checks a rendered labelling page for faults that would lose work, and writes all pages into a folder.

The SDK and the server accept pages whose keys clash, whose hidden tracks swallow regions, or whose labels are not in the
vocabulary. `find_faults` finds these too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from deemo_data.annotation.pages.templates import (
    FIRST_UNTYPABLE_CODE,
    PAGE_SIZES,
    TEMPLATES_FOLDER,
    list_templates,
    read_hotkeys,
    read_template_file,
    render_guide,
    render_page,
)
from deemo_data.errors import LabelError
from deemo_data.files import write_if_changed
from deemo_data.labels.label import DRAFT_FIELDS, OTHERS_PREFIX
from deemo_data.labels.vocabulary import Emotions, Nfbl

DATA_NAMES = (
    "clip",
    "template",
    "video",
    "fps",
    "num_frames",
    "title",
    "transcript",
    "events_text",
    *DRAFT_FIELDS,
)  # the keys of tasks.data_of
FORBIDDEN_KEYS = ("u", "space", "ctrl+space", "ctrl+d")  # deselects; swallows what is typed; skips the clip; breaks the page
NAMED_KEYS = {
    "backspace", "tab", "clear", "enter", "return", "esc", "escape", "space", "left", "up", "right", "down", "del", "delete",
    "home", "end", "pageup", "pagedown", *(f"f{n}" for n in range(1, 20)), *"abcdefghijklmnopqrstuvwxyz0123456789,./`-=;'[]\\",
}  # fmt: skip


def write_templates(folder: Path, nfbl: Nfbl, emotions: Emotions, annotators: int = 2) -> list[Path]:
    """Write all templates: NAME/config.SIZE.xml, NAME/guide.md with its pictures, hotkeys.json. Returns their paths.

    Files that would not change are left alone. Raises LabelError, and writes nothing, when a page has a fault.

    annotators  how many annotators' versions an adjudicator sees
    """
    files: dict[Path, str | bytes] = {folder / "hotkeys.json": json.dumps(read_hotkeys(), indent=2) + "\n"}
    for name in list_templates():
        for size in PAGE_SIZES:
            config = render_page(name, nfbl, emotions, size, annotators)
            if faults := find_faults(config, nfbl, emotions):
                more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
                raise LabelError(f"template {name}: {faults[0]}{more}", "Mend the vocabulary or the template")
            files[folder / name / f"config.{size}.xml"] = config
        files[folder / name / "guide.md"] = render_guide(name, nfbl, emotions)
        files |= {folder / name / path.name: path.read_bytes() for path in sorted((TEMPLATES_FOLDER / name).glob("*.png"))}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_if_changed(path, content)
    return list(files)


def find_faults(config: str, nfbl: Nfbl, emotions: Emotions) -> list[str]:
    """The faults of a labelling config, one line each: those that the SDK finds, and those that it and the server accept."""
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
    hidden = list(_find_hidden_tags(root, _find_hidden_classes(root), False))
    return [
        *_check_timelines(root, hidden),
        *_check_names(root, nfbl, emotions),
        *_check_keys(root, hidden),
        *_check_objects(root),
    ]


def _find_hidden_classes(root: Element) -> set[str]:
    """Names of CSS classes that a Style of the page hides."""
    rules = re.findall(r"([^{}]*)\{[^{}]*display:\s*none", "".join(style.text or "" for style in root.iter("Style")))
    selectors = [part for rule in rules for part in rule.split(",")]
    return {match[1] for part in selectors if (match := re.search(r"\.([\w-]+)\s*$", part))}


def _find_hidden_tags(tag: Element, classes: set[str], parent_hidden: bool) -> Iterator[Element]:
    """The tags that are not shown, by their style, their class or a parent."""
    hidden = parent_hidden or bool(
        re.search(r"display:\s*none", tag.get("style", "")) or classes & set(tag.get("className", "").split()),
    )
    if hidden:
        yield tag
    for child in tag:
        yield from _find_hidden_tags(child, classes, hidden)


def _check_timelines(root: Element, hidden: list[Element]) -> Iterator[str]:
    """Tracks: one is shown and can be drawn on, and only the versions of others (OTHERS_PREFIX) are hidden."""
    videos = {video.get("name") for video in root.iter("Video")}
    timelines = list(root.iter("TimelineLabels"))
    shown = [t for t in timelines if t not in hidden]
    for t in timelines:
        name = t.get("name", "")
        if t.get("toName") not in videos:
            yield f"TimelineLabels {name}: {t.get('toName')!r} is no Video"
        if t in hidden and not name.startswith(OTHERS_PREFIX):
            yield f"TimelineLabels {name} is hidden and its name does not begin with {OTHERS_PREFIX}: pull would read it"
        if t not in hidden and name.startswith(OTHERS_PREFIX):
            yield f"TimelineLabels {name} is shown and its name begins with {OTHERS_PREFIX}: pull would drop what is drawn"
    if timelines and not shown:
        yield "no TimelineLabels is shown: nothing can be drawn"
    elif timelines and timelines[0] is not shown[0]:
        yield f"TimelineLabels {timelines[0].get('name')} is hidden and stands first: {shown[0].get('name')} cannot draw after it"
    for t in shown[1:]:
        yield f"TimelineLabels {t.get('name')} is a second one that is shown: only the first can draw"


def _check_names(root: Element, nfbl: Nfbl, emotions: Emotions) -> Iterator[str]:
    """Labels and choices: exactly those of the vocabularies, each once, without commas."""
    vocabulary_of = {
        "emotion": (emotions.labels, emotions.versioned_name),
        "sentiment": (list(emotions.sentiments), emotions.versioned_name),
    }
    lists = [(t, "Label", nfbl.labels, nfbl.versioned_name) for t in root.iter("TimelineLabels")]
    lists += [(c, "Choice", *vocabulary_of[c.get("name", "")]) for c in root.iter("Choices") if c.get("name") in vocabulary_of]
    for tag, kind, allowed, vocabulary in lists:
        name = f"{tag.tag} {tag.get('name')}"
        values = [x.get("value", "") for x in tag.iter(kind)]
        yield from (f"{name}: {x!r} is there twice" for x in sorted({x for x in values if values.count(x) > 1}))
        yield from (f"{name}: {x!r} is not in vocabulary {vocabulary}" for x in values if x not in allowed)
        yield from (f"{name}: {x!r} of vocabulary {vocabulary} is missing" for x in allowed if x not in values)
    for value in dict.fromkeys(x.get("value", "") for x in root.iter() if x.tag in ("Label", "Choice")):
        if "," in value:
            yield f"label {value!r} has a comma: Label Studio would split it there"


def _check_keys(root: Element, hidden: list[Element]) -> Iterator[str]:
    """Hotkeys: none twice, none that the editor uses or does not know; hidden labels have keys that cannot be typed."""
    editor_keys, tag_of_key = _read_editor_keys(), dict[str, str]()
    for tag in root.iter():
        this = f"{tag.tag} {tag.get('value') or tag.get('name')!s}"
        is_hidden_label = tag.tag == "Label" and tag in hidden
        if is_hidden_label and not _is_untypable(tag.get("hotkey", "")):
            yield f"{this}: it is hidden and needs a key that no keyboard has, else the editor gives it one"
        for key in _parse_hotkey(tag.get("hotkey", "")):
            if key in FORBIDDEN_KEYS:
                yield f"{this}: {key} must not be used"
            elif key in editor_keys:
                yield f"{this}: {key} is the editor's, for {editor_keys[key]}"
            elif not is_hidden_label and key.split("+")[-1] not in NAMED_KEYS:
                yield f"{this}: {key} is no key that the editor knows"
            if key in tag_of_key:
                yield f"{this}: {key} is the key of {tag_of_key[key]} too"
            tag_of_key.setdefault(key, this)


def _parse_hotkey(hotkey: str) -> list[str]:
    """The keys of a hotkey attribute as the editor reads them: in lower case, separated by commas, modifiers sorted."""
    keys = [k for k in re.sub(r"\s", "", hotkey.lower()).split(",") if k]
    return ["+".join([*sorted(k.split("+")[:-1]), k.split("+")[-1]]) for k in keys]


def _is_untypable(hotkey: str) -> bool:
    """Whether a hotkey is a character that no keyboard has."""
    return len(hotkey) == 1 and ord(hotkey) >= FIRST_UNTYPABLE_CODE


def _read_editor_keys() -> dict[str, str]:
    """{key: what the editor does with it}: the editor's own keys and our hotkeys."""
    editor = json.loads(read_template_file("editor_keys.json"))
    ours = {name.split(":", 1)[1]: x["key"] for name, x in read_hotkeys()["custom_hotkeys"].items() if x["active"]}
    pairs = [*editor["keymap"].items(), *editor["beside_the_keymap"].items(), *ours.items()]
    return {spelling: name for name, key in pairs for spelling in _parse_hotkey(key)}


def _check_objects(root: Element) -> Iterator[str]:
    """Data and media: only known $names, frames at the rate of the clip, video and sound in step."""
    for tag in root.iter():
        this = f"{tag.tag} {tag.get('name') or tag.get('value')!s}"
        for attribute, value in tag.attrib.items():
            for name in re.findall(r"\$([\w\[\].{}]+)", value) if attribute != "hint" else ():
                if tag.tag in ("Label", "Choice"):
                    yield f"{this}: ${name} would be replaced by what the clip's data say"
                elif name not in DATA_NAMES:
                    yield f"{this}: {attribute} asks for ${name}; there is {', '.join(f'${d}' for d in DATA_NAMES)}"
    for video in root.iter("Video"):
        if video.get("frameRate") != "$fps":
            yield f'Video {video.get("name")}: frameRate must be "$fps", or frames are counted at 24 a second'
    syncs = {(tag.tag, tag.get("name"), tag.get("sync")) for tag in root.iter() if tag.tag in ("Video", "Audio")}
    if len({sync for *_, sync in syncs}) > 1 or (len(syncs) > 1 and (None in {sync for *_, sync in syncs})):
        listing = ", ".join(f"{tag} {name}: {sync}" for tag, name, sync in sorted(syncs, key=str))
        yield f"Video and Audio need the same sync ({listing})"
