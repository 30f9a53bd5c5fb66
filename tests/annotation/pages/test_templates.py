"""The annotators' pages: made of the vocabularies and nothing else, and each thing that Label Studio lets through is found."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deemo_data.annotation.pages import checks, templates
from deemo_data.errors import ConfigError, LabelError, ProjectError
from deemo_data.labels.vocabulary import Emotion, Emotions, Nfbl, NfblClass, load_emotions, load_nfbl

REPO = Path(__file__).resolve().parents[3]
NFBL, EMOTIONS = load_nfbl("nfbl"), load_emotions("emotions")
ALL = [(name, size) for name in templates.list_templates() for size in templates.PAGE_SIZES]
ODD = ['Tom & "Jerry" <b>', "Ärger’s «Größe»", "it's > 5 *stars* [x](y)", "手を頭に", "a|b_c`d"]


def own(names: list[str], groups: int = 2) -> Nfbl:
    classes = [NfblClass(n, name, "hand", f"g{n % groups}", f"Means {name}.") for n, name in enumerate(names)]
    return Nfbl("own & <one>", "7", "ours", {f"g{n}": f"Group {n} & <co>" for n in range(groups)}, tuple(classes))


def feelings(names: list[str]) -> Emotions:
    return Emotions("own", "7", "ours", ("up & <about>", "down"), tuple(Emotion(n, "down", (f"{n}ish",)) for n in names))


def page(name: str, nfbl: Nfbl = NFBL, emotions: Emotions = EMOTIONS, size: str = "1440x900", annotators: int = 2) -> str:
    return templates.render_page(name, nfbl, emotions, size, annotators)


def read(config: str) -> ElementTree.Element:
    return ElementTree.fromstring(config)


def said(root: ElementTree.Element, name: str, kind: str) -> list[str]:
    """What can be chosen of the control of that name."""
    return [x.attrib["value"] for x in next(t for t in root.iter() if t.get("name") == name).iter(kind)]


# ── the pages and the vocabularies ───────────────────────────────────────────────────────────────────────────


def test_the_four_are_there() -> None:
    assert templates.list_templates() == ("adjudicate", "clip_review", "mer_clues", "nfbl_timeline")


@pytest.mark.parametrize(("name", "size"), ALL)
def test_ours_have_no_fault(name: str, size: str) -> None:
    assert checks.find_faults(page(name, size=size), NFBL, EMOTIONS) == []


@pytest.mark.parametrize("size", templates.PAGE_SIZES)
@pytest.mark.parametrize("name", ["nfbl_timeline", "adjudicate"])
def test_classes_are_those_of_the_vocabulary(name: str, size: str) -> None:
    root = read(page(name, size=size))
    assert sorted(said(root, "nfbl", "Label")) == sorted(NFBL.labels)
    group = {c.name: NFBL.groups[c.group] for c in NFBL.classes}
    means = {c.name: c.definition for c in NFBL.classes}
    colours: dict[str, set[str]] = {}
    for view in next(root.iter("TimelineLabels")).iter("View"):
        title = next(view.iter("Header")).attrib["value"]
        for label in view.iter("Label"):
            assert group[label.attrib["value"]] == title
            assert means[label.attrib["value"]] == label.attrib["hint"]
            colours.setdefault(title, set()).add(label.attrib["background"])
    assert list(colours) == list(NFBL.groups.values())
    assert [len(c) for c in colours.values()] == [1] * len(colours)
    assert len(set.union(*colours.values())) == len(colours)


def test_keys_are_given_out_in_the_order_of_the_page() -> None:
    shown = [label.get("hotkey") for label in next(read(page("nfbl_timeline")).iter("TimelineLabels")).iter("Label")]
    assert "".join(map(str, shown)) == "1234567890qwertyiopasdfghjklzxcv"
    assert len(templates.SINGLE_KEYS) == len(set(templates.SINGLE_KEYS)) == 35


def test_fifty_classes_leave_fifteen_without_a_key() -> None:
    nfbl = own([f"Class {n}" for n in range(50)], 10)
    shown = [label.get("hotkey") for label in next(read(page("nfbl_timeline", nfbl)).iter("TimelineLabels")).iter("Label")]
    assert shown == [*templates.SINGLE_KEYS, *[None] * 15]
    assert checks.find_faults(page("nfbl_timeline", nfbl), nfbl, EMOTIONS) == []


@pytest.mark.parametrize("size", templates.PAGE_SIZES)
def test_emotions_are_those_of_the_vocabulary(size: str) -> None:
    root = read(page("mer_clues", size=size))
    assert said(root, "emotion", "Choice") == EMOTIONS.labels
    assert tuple(said(root, "sentiment", "Choice")) == EMOTIONS.sentiments
    written = [t.get("name") for t in root.iter("TextArea")]
    assert written == ["emotion_words", "clue_video", "clue_audio", "clue_text", "reasoning"]


@pytest.mark.parametrize("name", ["nfbl_timeline", "adjudicate"])
def test_certainty_belongs_to_an_event(name: str) -> None:
    root = read(page(name))
    certainty = next(c for c in root.iter("Choices") if c.get("name") == "certainty")
    assert certainty.get("perRegion") == "true"
    assert [(c.get("value"), c.get("hotkey")) for c in certainty] == [
        ("sure", "shift+1"), ("unsure", "shift+2"), ("guess", "shift+3"),
    ]  # fmt: skip


def test_a_reviewer_can_say_that_nothing_is_left() -> None:
    root = read(page("clip_review"))
    identifying = next(c for c in root.iter("Choices") if c.get("name") == "identifying")
    assert identifying.get("choice") == "multiple"
    assert identifying.get("required") == "true"
    assert [c.get("value") for c in identifying] == [
        "nothing", "face", "voice", "spoken name", "text on screen", "somebody else",
    ]  # fmt: skip
    assert [t.get("name") for t in root.iter("TextArea")] == ["identifying_where"]


@pytest.mark.parametrize("annotators", [1, 2, 5, 26])
def test_the_adjudicator_has_a_hidden_palette_for_each_annotator(annotators: int) -> None:
    config = page("adjudicate", annotators=annotators)
    names = [t.attrib["name"] for t in read(config).iter("TimelineLabels")]
    assert names == ["nfbl", *(f"ann_{x}" for x in "abcdefghijklmnopqrstuvwxyz"[:annotators])]
    assert checks.find_faults(config, NFBL, EMOTIONS) == []


@pytest.mark.parametrize(("name", "size"), ALL)
def test_heights_are_those_of_the_window(name: str, size: str) -> None:
    video = next(read(page(name, size=size)).iter("Video"))
    height, timeline = {"1440x900": ("400", "180"), "1280x720": ("260", "140")}[size]
    assert video.get("height") == height
    assert video.get("timelineHeight") == (timeline if name in ("nfbl_timeline", "adjudicate") else None)


@pytest.mark.parametrize(("name", "size"), ALL)
def test_odd_names_stay_what_they_are(name: str, size: str) -> None:
    nfbl, emotions = own(ODD), feelings(ODD)
    config = page(name, nfbl, emotions, size)
    assert checks.find_faults(config, nfbl, emotions) == []
    root = read(config)
    for timeline in root.iter("TimelineLabels"):
        assert sorted(x.attrib["value"] for x in timeline.iter("Label")) == sorted(ODD)
    if name == "mer_clues":
        assert said(root, "emotion", "Choice") == ODD
        assert said(root, "sentiment", "Choice") == ["up & <about>", "down"]


XML = st.characters(blacklist_categories=("Cs", "Cc", "Cn"), blacklist_characters=",$")
NAMES = st.lists(st.text(XML, min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=60, unique=True)


@settings(max_examples=40)
@given(names=NAMES, groups=st.integers(1, 12), annotators=st.integers(1, 6))
def test_any_vocabulary_makes_pages_without_faults(names: list[str], groups: int, annotators: int) -> None:
    nfbl, emotions = own(names, groups), feelings(names)
    for name, size in ALL:
        config = templates.render_page(name, nfbl, emotions, size, annotators)
        assert checks.find_faults(config, nfbl, emotions) == []
    assert all(templates.render_guide(name, nfbl, emotions) for name in templates.list_templates())


@given(st.text(min_size=1, max_size=20))
def test_a_name_comes_back_or_is_refused(name: str) -> None:
    assume(name.strip())
    nfbl = own([name])
    if re.search("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", name):
        with pytest.raises(ConfigError, match="cannot be written in XML"):
            page("nfbl_timeline", nfbl)
        return
    config = page("nfbl_timeline", nfbl)
    assert bool(checks.find_faults(config, nfbl, EMOTIONS)) == (said(read(config), "nfbl", "Label") != [name] or bad(name))


def bad(name: str) -> bool:
    return "," in name or bool(re.search(r"\$[\w\[\].{}]", name))


# ── faults, each one seeded ──────────────────────────────────────────────────────────────────────────────────

TIMELINE = re.compile(r"<TimelineLabels name=\"nfbl\".*?</TimelineLabels>", re.DOTALL)
HIDDEN = re.compile(r"<View style=\"display:none\">.*?</View>", re.DOTALL)


def first_hidden(config: str) -> str:
    """The adjudicator's page with its hidden palettes moved before the one that draws."""
    palettes = HIDDEN.findall(config)
    return HIDDEN.sub("", config).replace('<TimelineLabels name="nfbl"', "".join(palettes) + '<TimelineLabels name="nfbl"')


def hidden_by_class(config: str) -> str:
    """The same, hidden by a class of a Style as people write it."""
    style = "<Style> .a, .x .hid { color: red; display: none } </Style>"
    moved = first_hidden(config).replace('<View style="display:none">', '<View className="big hid">')
    return moved.replace("<View>", f"<View>{style}", 1)


def second(config: str) -> str:
    palette = TIMELINE.search(config)
    assert palette
    again = re.sub(r' hotkey="[^"]*"', "", palette[0]).replace('name="nfbl"', 'name="more"')
    return config.replace(palette[0], palette[0] + again)


SEEDED: list[tuple[str, Any, str]] = [
    ("nfbl_timeline", lambda c: c[:-20], "line"),
    ("nfbl_timeline", lambda c: c.replace('toName="video"', 'toName="film"'), "film"),
    ("nfbl_timeline", lambda c: c.replace('name="certainty"', 'name="audio"'), "non-unique"),
    ("nfbl_timeline", second, "more is a second one that is shown"),
    ("nfbl_timeline", lambda c: c.replace('name="nfbl" toName="video"', 'name="nfbl" toName="audio"'), "'audio' is no Video"),
    ("nfbl_timeline", lambda c: c.replace('name="nfbl"', 'name="ann_x"').replace('"nfbl"', '"ann_x"'), "pull would drop"),
    ("nfbl_timeline", lambda c: c.replace('className="dd-right"', 'style="display: none"'), "nothing can be drawn"),
    ("adjudicate", first_hidden, "ann_a is hidden and stands first: nfbl cannot draw"),
    ("adjudicate", hidden_by_class, "ann_a is hidden and stands first: nfbl cannot draw"),
    ("adjudicate", lambda c: c.replace('name="ann_b"', 'name="bob"'), "bob is hidden"),
    ("adjudicate", lambda c: c.replace("\ue003", "b", 1), "needs a key that no keyboard has"),
    ("adjudicate", lambda c: c.replace(' hotkey="\ue003"', "", 1), "needs a key that no keyboard has"),
    ("adjudicate", lambda c: c.replace('"Head up" background="#5a', '"Head" background="#5a'), "TimelineLabels ann_a: 'Head' is"),
    ("nfbl_timeline", lambda c: c.replace('"Turtle neck"', '"Turtle"'), "'Turtle' is not in vocabulary imigue-32 1"),
    ("nfbl_timeline", lambda c: c.replace('"Turtle neck"', '"Turtle"'), "'Turtle neck' of vocabulary imigue-32 1 is missing"),
    ("nfbl_timeline", lambda c: c.replace('"Turtle neck"', '"Head up"'), "'Head up' is there twice"),
    ("nfbl_timeline", lambda c: c.replace("Button or collar or tie", "Button, collar or tie"), "has a comma"),
    ("nfbl_timeline", lambda c: c.replace('"Turtle neck"', '"Turtle $fps"'), "$fps would be replaced"),
    ("mer_clues", lambda c: c.replace('value="happy"', 'value="glad"'), "'glad' is not in vocabulary emotions-12"),
    ("mer_clues", lambda c: c.replace('value="negative"', 'value="bad"'), "Choices sentiment: 'negative' of vocabulary"),
    ("mer_clues", lambda c: c.replace('value="happy"', 'value="happy, glad"'), "has a comma"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="W"'), "w is the key of"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="shift+1"'), "shift+1 is the key of Label Scratching back too"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="f2,w"'), "w is the key of"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="u"'), "u must not be used"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="space"'), "space must not be used"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="Ctrl+Space"'), "ctrl+space must not be used"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="ctrl + d"'), "ctrl+d must not be used"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="ctrl+enter"'), "the editor's, for annotation:submit"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="alt+ctrl+left"'), "for video:keyframe-backward"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="alt+q"'), "the editor's, for media:playpause"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="right"'), "the editor's, for media:step-forward"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="shift+space"'), "the editor's, for play of Audio"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="qq"'), "qq is no key"),
    ("nfbl_timeline", lambda c: c.replace('hotkey="q"', 'hotkey="ö"'), "ö is no key"),
    ("nfbl_timeline", lambda c: c.replace('"$video"', '"$film"'), "asks for $film"),
    ("nfbl_timeline", lambda c: c.replace('frameRate="$fps"', 'frameRate="25"'), 'frameRate must be "$fps"'),
    ("nfbl_timeline", lambda c: c.replace('frameRate="$fps" ', ""), "frames are counted at 24"),
    ("clip_review", lambda c: c.replace('sync="s" height="56"', 'sync="t" height="56"'), "the same sync"),
    ("clip_review", lambda c: c.replace(' sync="s"', ""), "the same sync"),
    ("clip_review", lambda c: c.replace('"$transcript"', '"$transcribed"'), "asks for $transcribed"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "says"), SEEDED, ids=[f"{n}-{s}" for n, _, s in SEEDED])
def test_faults(name: str, spoil: Any, says: str) -> None:
    config = page(name)
    spoilt = spoil(config)
    assert spoilt != config
    found = checks.find_faults(spoilt, NFBL, EMOTIONS)
    assert any(says in line for line in found), found
    assert all("\n" not in line for line in found)


def test_another_vocabulary_than_the_page_was_made_of() -> None:
    found = checks.find_faults(page("nfbl_timeline"), own(["Turtle neck", "Flying"]), EMOTIONS)
    assert any("'Flying' of vocabulary own & <one> 7 is missing" in line for line in found)
    assert sum("is not in vocabulary" in line for line in found) == 31


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dangerous_keys_are_off_and_play_eats_no_letter() -> None:
    ours = templates.read_hotkeys()["custom_hotkeys"]
    assert {n: x["active"] for n, x in ours.items() if n.endswith((":skip", ":duplicate", ":delete-all"))} == {
        "annotation:annotation:skip": False, "regions:region:duplicate": False, "regions:region:delete-all": False,
    }  # fmt: skip
    # It works in text boxes too, so it must be a key that types nothing; Shift+Space types a space.
    play = ours["video:media:playpause"]["key"].split("+")
    assert {"alt", "ctrl"} & set(play[:-1])


def editor() -> dict[str, Any]:
    """The key map that the installed editor is shipped with, and the sections its settings page knows."""
    shipped = sorted(REPO.glob(".venv-label-studio/lib/*/site-packages/web/dist/apps/labelstudio/*.js"))
    texts = [t for path in shipped if '"media:playpause":{' in (t := path.read_text("utf-8", errors="replace"))]
    if not texts:
        pytest.skip("no Label Studio in .venv-label-studio")
    start = texts[0].rindex("JSON.parse('", 0, texts[0].index('"media:playpause":{')) + len("JSON.parse('")
    found: dict[str, Any] = json.loads(texts[0][start : texts[0].index("')", start)].replace("\\\\", "\\"))
    return found


def test_the_editor_has_the_keys_we_think_it_has() -> None:
    said, shipped = json.loads((templates.TEMPLATES_FOLDER / "editor_keys.json").read_text())["keymap"], editor()
    assert {name: shipped[name]["key"] for name in said} == said
    ours = {name.split(":", 1)[1] for name in templates.read_hotkeys()["custom_hotkeys"]}
    assert ours <= set(shipped)
    elsewhere = ("tool:", "ts:", "image:", "phrases:", "polygon:", "repeater:")  # of tags that no page of ours has
    assert {name for name in shipped if not name.startswith(elsewhere)} == set(said)


# ── colours ──────────────────────────────────────────────────────────────────────────────────────────────────

SEEN = {  # linear RGB as people with that kind of colour blindness see it (Machado et al. 2009)
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}  # fmt: skip


def linear(colour: str) -> list[float]:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def times(matrix: Any, vector: list[float]) -> list[float]:
    return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]


def lab(colour: str, eye: str) -> list[float]:
    rgb = [min(max(c, 0), 1) for c in times(SEEN[eye], linear(colour))]
    xyz = times(((0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8730)), rgb)
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


@pytest.mark.parametrize("palette", [templates.GROUP_COLOURS, templates.ANNOTATOR_COLOURS])
def test_colours_can_be_told_apart_by_all_eyes(palette: tuple[str, ...]) -> None:
    for colour in palette:
        assert 1.05 / (times([(0.2126, 0.7152, 0.0722)], linear(colour))[0] + 0.05) >= 4.5, colour
    for a, b in itertools.combinations(palette, 2):
        for eye in SEEN:
            apart = sum((x - y) ** 2 for x, y in zip(lab(a, eye), lab(b, eye), strict=True)) ** 0.5
            assert apart >= 20, (a, b, eye)


# ── guides ───────────────────────────────────────────────────────────────────────────────────────────────────


def unescaped(text: str) -> str:
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", text)


@pytest.mark.parametrize("name", ["nfbl_timeline", "adjudicate"])
@pytest.mark.parametrize("nfbl", [NFBL, own(ODD)], ids=["ours", "odd"])
def test_a_guide_explains_every_class(name: str, nfbl: Nfbl) -> None:
    text = templates.render_guide(name, nfbl, EMOTIONS)
    for c in nfbl.classes:
        assert f"**{c.name}** (key {templates.keys_of_classes(nfbl)[c.name].upper()}): {c.definition}" in unescaped(text)
    assert "<b>" not in re.sub(r"\\<", "", text)
    unseen = [c for c in nfbl.classes if not c.visible_after_masking]
    assert len(re.findall("[Ll]ies on the masked face", text)) == len(unseen)


def test_every_class_has_an_example_and_says_what_it_is_confused_with() -> None:
    rows = tomllib.loads((templates.TEMPLATES_FOLDER / "nfbl_timeline" / "examples.toml").read_text("utf-8"))
    assert set(rows) == set(NFBL.labels)
    text = templates.render_guide("nfbl_timeline", NFBL, EMOTIONS)
    for name, row in rows.items():
        assert set(row) == {"example", "confused_with"}, name
        assert row["confused_with"].keys() <= set(NFBL.labels) - {name}, name
        assert row["confused_with"], name
        assert row["example"] in text
        assert all(f"- Or **{other}**? {how}" in text for other, how in row["confused_with"].items())


def test_examples_of_other_classes_are_left_out() -> None:
    text = templates.render_guide("nfbl_timeline", own(["Head up", "Flying"]), EMOTIONS)
    assert "The chin rises and comes down" in text
    assert "Turtle" not in text
    assert "Sitting straightly" not in text


def test_emotions_are_in_the_guide() -> None:
    text = unescaped(templates.render_guide("mer_clues", NFBL, EMOTIONS))
    for e in EMOTIONS.emotions:
        assert f"| {e.name} | " in text
        assert f"| {', '.join(e.words)} |" in text
    assert all(f"| {x} |" in unescaped(templates.render_guide("mer_clues", NFBL, feelings(ODD))) for x in ODD if "|" not in x)


@pytest.mark.parametrize("name", templates.list_templates())
def test_a_guide_says_what_every_annotator_must_know(name: str) -> None:
    text = " ".join(templates.render_guide(name, NFBL, EMOTIONS).split())
    for words in ("Select region after creating it", "Video hop size", "Alt+Q", "Ctrl+Enter", "tell the data owner"):
        assert words in text
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        path = templates.TEMPLATES_FOLDER / name / picture
        assert path.read_bytes()[:4] == b"\x89PNG"
        assert path.stat().st_size < 150_000


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_write(tmp_path: Path) -> None:
    made = checks.write_templates(tmp_path / "t", NFBL, EMOTIONS, 3)
    there = {p for p in (tmp_path / "t").rglob("*") if p.is_file()}
    assert set(made) == there
    wanted = {f"{n}/config.{s}.xml" for n, s in ALL} | {f"{n}/guide.md" for n in templates.list_templates()}
    assert wanted | {"hotkeys.json", "nfbl_timeline/settings.png"} <= {p.relative_to(tmp_path / "t").as_posix() for p in there}
    assert json.loads((tmp_path / "t" / "hotkeys.json").read_text()) == templates.read_hotkeys()
    assert 'name="ann_c"' in (tmp_path / "t" / "adjudicate" / "config.1440x900.xml").read_text("utf-8")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in there}
    assert checks.write_templates(tmp_path / "t", NFBL, EMOTIONS, 3) == made
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in there} == before


def test_write_refuses_a_page_with_a_fault(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"template \w+: .*'one, two' has a comma"):
        checks.write_templates(tmp_path / "t", own(["one, two"]), EMOTIONS)
    assert not (tmp_path / "t").exists()


def test_what_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"no template 'nothing'.*nfbl_timeline"):
        templates.render_page("nothing", NFBL, EMOTIONS)
    with pytest.raises(ConfigError, match=r"800x600.*1280x720"):
        page("nfbl_timeline", size="800x600")
    with pytest.raises(ConfigError, match="0 annotators"):
        page("adjudicate", annotators=0)
    with pytest.raises(ConfigError, match="cannot be written in XML"):
        page("nfbl_timeline", own(["bell \x07"]))


def test_without_the_folder_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "TEMPLATES_FOLDER", tmp_path)
    for call in (templates.list_templates, templates.read_hotkeys, lambda: page("nfbl_timeline")):
        with pytest.raises(ProjectError, match=r"annotation_templates.* is not there\. Install deemo-data again"):
            call()


def test_a_new_template_is_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "templates"
    (folder / "nods").mkdir(parents=True)
    for file in ("parts.xml", "parts.md", "hotkeys.json", "editor_keys.json"):
        (folder / file).write_bytes((templates.TEMPLATES_FOLDER / file).read_bytes())
    parts = "{{ parts.media(size.video, size.timeline) }}{{ parts.palette(nfbl, keys, colours) }}"
    own_page = f'{{% import "parts.xml" as parts %}}<View>{parts}</View>'
    (folder / "nods" / "config.xml").write_text(own_page)
    (folder / "nods" / "guide.md").write_text("# {{ nfbl.classes | length }} classes\n")
    monkeypatch.setattr(templates, "TEMPLATES_FOLDER", folder)
    assert templates.list_templates() == ("nods",)
    assert checks.find_faults(page("nods"), NFBL, EMOTIONS) == []
    assert templates.render_guide("nods", NFBL, EMOTIONS) == "# 32 classes\n"
    assert {p.parent.name for p in checks.write_templates(tmp_path / "out", NFBL, EMOTIONS)} == {"nods", "out"}
    (folder / "nods" / "config.xml").write_text("<View>\n{% for x in %}</View>")
    with pytest.raises(ConfigError, match=r"nods/config\.xml, line 2"):
        page("nods")
    (folder / "nods" / "config.xml").write_text("<View>{{ nfbl.colour }}</View>")
    with pytest.raises(ConfigError, match=r"nods/config\.xml: UndefinedError: .*colour"):
        page("nods")
