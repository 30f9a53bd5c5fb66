"""out/dataset.html: everything that is counted is in it, nothing from elsewhere, and pictures of released clips only."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from deemo_data.dataset.export import page as export_page
from deemo_data.errors import DatasetError
from tests.makers.datasets import NFBL, export_clips, make_clip
from tests.makers.documents import build_dataset
from tests.makers.labels import said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_dataset(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return export_page.render_page(folder, NFBL)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.sources: list[str] = []
        self.all: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.all.add(tag)
        self.sources += [v or "" for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag not in ("meta", "img", "line", "rect", "circle", "br", "polyline"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect", "circle", "polyline"):
            assert self.opened.pop() == tag


def test_it_is_one_whole_page_without_anything_from_elsewhere(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.opened == []
    assert not tags.all & {"script", "link", "iframe", "video", "audio", "a"}
    assert all(s.startswith("data:image/jpeg;base64,") for s in tags.sources)
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_counted_is_shown(page: str) -> None:
    assert "<b>6</b>clips" in page
    assert "<b>5</b>subjects" in page
    assert "<title>Folding arms: 5 events</title>" in page
    assert "<title>Folding arms: in 4 of 4 clips with happy, in 5 of 5 of all</title>" in page
    assert "<title>all, happy: 4 of 5</title>" in page
    assert "<title>6 clips of 0 to 1 s</title>" in page
    assert "Never seen: " in page
    assert "How far annotators agree was not measured." in page


def test_stills_are_small_frames_of_the_dataset(folder: Path, page: str) -> None:
    stills = [base64.b64decode(s) for s in re.findall(r'base64,([^"]+)"', page)]
    assert len(stills) == 6
    shown = re.findall(r"<code>(c-[0-9a-f]+)</code>, subject", page)
    assert set(shown) == {p.stem for p in folder.rglob("*.mp4")}
    for jpeg in stills:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[1] == export_page.STILL_WIDTH_PX
        assert len(jpeg) < 30_000


def test_one_clip_a_subject_comes_first(folder: Path) -> None:
    subjects = [row["subject_id"] for row, _ in export_page.choose_stills(folder)]
    assert len(set(subjects[:5])) == 5


def test_the_same_dataset_is_the_same_page(folder: Path, tmp_path: Path) -> None:
    assert export_page.write_page(folder, tmp_path / "dataset.html", NFBL)
    assert not export_page.write_page(folder, tmp_path / "dataset.html", NFBL)


def test_a_dataset_without_labels(tmp_path: Path) -> None:
    export_clips([make_clip(tmp_path / "released", 0)], [], tmp_path / "d")
    page = export_page.render_page(tmp_path / "d", NFBL)
    assert "There are no events yet." in page
    assert "No clip has an emotion yet." in page


def test_a_clip_that_nobody_looked_at_is_not_one_without_events(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "released", n) for n in range(2)]
    export_clips(clips, [said("seen", "nfbl", clips[0])], tmp_path / "d")
    page = export_page.render_page(tmp_path / "d", NFBL)
    assert page.count(">looked at: nothing was marked<") == 1
    assert page.count(">nobody has looked at this clip<") == 1
    assert ">nothing<" not in page


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no dataset that can be shown"):
        export_page.render_page(tmp_path, NFBL)
    (tmp_path / "deemo.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(DatasetError, match="holds no dataset that can be shown"):
        export_page.render_page(tmp_path, NFBL)


def test_words_are_escaped(folder: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 0)
    clip.facts["transcript"] = "<script>alert(1)</script>"
    export_clips([clip], [], tmp_path / "d")
    assert "<script>" not in export_page.render_page(tmp_path / "d", NFBL)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_looked_at(page: str, tmp_path: Path, scheme: str) -> None:
    """In Chromium: no sideways scroll of the page itself, every picture there, nothing asked of the network."""
    sync = pytest.importorskip("playwright.sync_api")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("no Chromium")
    (tmp_path / "dataset.html").write_text(page)
    with sync.sync_playwright() as p:
        browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        asked: list[str] = []
        tab.on("request", lambda r: asked.append(r.url))
        tab.goto((tmp_path / "dataset.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
        assert tab.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        assert [u for u in asked if not u.startswith(("file:", "data:"))] == []
        browser.close()
