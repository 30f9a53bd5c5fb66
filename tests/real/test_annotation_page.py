"""Annotators' pages in a real browser, as an ordinary annotator in the label stream: what they see, do, and what comes back.

Pictures of the pages are kept in the folder that DEEMO_SHOTS names, else in pytest's temporary one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from deemo_data.annotation import pull
from deemo_data.annotation.label_studio import projects, workspace
from deemo_data.annotation.pages import templates
from deemo_data.annotation.pages.tasks import region_json
from deemo_data.annotation.push import push_clips
from deemo_data.clip import Clip, Grid, SafeClip
from deemo_data.files import File
from deemo_data.labels import store
from deemo_data.labels.placing import place_events
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from deemo_data.media import encode, ffmpeg
from deemo_data.media.sound import frames_to_samples, write_wav
from deemo_data.project.project import Project
from deemo_data.tracks.body import Body, write_body
from tests.makers.datasets import write_prosody
from tests.makers.label_studio import LabelStudio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium: apt-get install chromium")]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
NFBL, EMOTIONS = load_nfbl("nfbl"), load_emotions("emotions")
SETTINGS = {"videoHopSize": 1, "selectAfterCreate": True, "enableHotkeys": True}  # the two settings of the guides
BITS = 10  # as in SEEN; a frame's number, in black and white squares along the bottom
FRAME, ROW, SCALE = 16, 24, 25  # px of the timeline: a frame, an event's row, and the scale above the rows
RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(60000, 1001)]
WHY = "The right wrist was within 0.4 head widths of the head for 1.6 s."
SEEN = """() => {
    const video = document.querySelector('video'), canvas = document.createElement('canvas'), bits = 10;
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const pen = canvas.getContext('2d'), side = 2 * Math.floor(video.videoWidth / bits / 2);
    pen.drawImage(video, 0, 0);
    let n = 0;
    for (let bit = 0; bit < bits; bit++)
        if (pen.getImageData((bit + 0.5) * side, video.videoHeight - side / 2, 1, 1).data[0] > 127) n |= 1 << bit;
    return n;
}"""
LIT = "[...document.querySelectorAll('.dd .lsf-label_selected')].map(e => e.innerText.split('\\n')[0])"
STILL = "() => { const v = document.querySelector('video'); return v && v.readyState > 1 && !v.seeking; }"
BOXES = """() => {
    const all = s => [...document.querySelectorAll(s)].map(e => e.getBoundingClientRect())
        .filter(r => r.width && r.height).map(r => [r.left, r.top, r.right, r.bottom]);
    const scrolls = [...document.querySelectorAll('.dd, .dd *')].concat(document.scrollingElement)
        .filter(e => e.scrollHeight > e.clientHeight + 1 && e.clientHeight > 0
            && (e === document.scrollingElement || ['auto', 'scroll'].includes(getComputedStyle(e).overflowY)))
        .map(e => e.getAttribute('class'));
    return {video: all('.dd .lsf-video-canvas')[0], timeline: all('.dd .lsf-timeline-frames')[0], rows: all('.dd .lsf-keypoints'),
        wave: all('.dd .lsf-audio-tag canvas'), labels: all('.dd .lsf-label'), bar: all('.lsf-bottombar')[0],
        right: all('.dd-right')[0], scrolls};
}"""


def numbered(n: int, width: int, height: int) -> NDArray[np.uint8]:
    """A picture that says which it is, for people and for SEEN."""
    import cv2
    import numpy as np

    side = width // BITS // 2 * 2
    bgr = np.full((height, width, 3), (120, 90, 60), np.uint8)
    cv2.circle(bgr, (width // 4 + 3 * n % (width // 2), height // 3), height // 8, (90, 140, 210), -1)
    cv2.putText(bgr, str(n), (width // 20, height // 4), cv2.FONT_HERSHEY_SIMPLEX, height / 180, (255, 255, 255), height // 90)
    for bit in range(BITS):
        bgr[height - side :, bit * side : (bit + 1) * side] = 255 if n >> bit & 1 else 0
    return bgr


def filmed(folder: Path, name: str, fps: Fraction, frames: int, size: tuple[int, int], sound: str = "a tone") -> SafeClip:
    """A released clip of numbered frames, made as the stages do it. sound: "a tone", "silence" or "" for no track."""
    import cv2
    import numpy as np

    grid, path = Grid(fps, False, Fraction(0), frames, *size), folder / f"{name}.mp4"
    picture, voice = folder.parent / f"{name}.picture.mp4", folder.parent / f"{name}.wav"
    yuv = (cv2.cvtColor(numbered(n, *size), cv2.COLOR_BGR2YUV_I420) for n in range(frames))
    encode.write_video(picture, yuv, grid, 20, "ultrafast")  # type: ignore[arg-type]
    wave = np.sin(np.arange(frames_to_samples(frames, fps)) / 6) * (0.2 if sound == "a tone" else 0)
    write_wav(voice, wave)
    if sound:
        ffmpeg.join_video_and_sound(picture, voice, path)
        picture.unlink()
    else:
        picture.rename(path)
    voice.unlink()
    facts = {"grid": grid.to_fact(), "subject": "s-1", "transcript": "I think we did what we could today.", "proposals": [],
             "body_unit": "picture"}  # fmt: skip
    body, curves = folder / f"{name}.body.parquet", folder / f"{name}.prosody.parquet"
    write_body(Body(np.zeros((frames, 1, 64, 3), np.float32), np.zeros((frames, 1, 64), np.float32)), body)
    write_prosody(curves, round(100 * frames / fps))
    files = {"video": File.of(path), "body": File.of(body), "prosody": File.of(curves)}
    return SafeClip(Clip(name, f"v-{name}", 0, grid.ms_at(frames), files, facts))


@pytest.fixture(scope="module")
def clips(label_studio: LabelStudio) -> dict[str, SafeClip]:
    """By name: one of 12 s in 720p, the same silent and without a sound track, and a short small one at each rate."""
    folder = label_studio.project.released_dir
    made = [filmed(folder, "c-long", Fraction(25), 300, (1280, 720))]
    made += [filmed(folder, "c-silent", Fraction(25), 60, (640, 360), "silence")]
    made += [filmed(folder, "c-mute", Fraction(25), 60, (640, 360), "")]
    made += [filmed(folder, f"c-{fps.numerator}-{fps.denominator}", fps, 130, (320, 180)) for fps in RATES]
    return {clip.id: clip for clip in made}


@pytest.fixture(scope="module")
def browser(label_studio: LabelStudio) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield Browser(chromium, label_studio)
        chromium.close()


@dataclass
class Browser:
    """One for all tests. Who signed in once stays signed in."""

    chromium: Any
    label_studio: LabelStudio
    known: dict[str, Any] = field(default_factory=dict)

    def signed_in(self, who: str, size: str) -> Any:
        """A window of an ordinary annotator who has our keys and made the two settings."""
        width, height = map(int, size.split("x"))
        window = {"width": width, "height": height}
        if who not in self.known:
            email, password, token = self.label_studio.annotator(who)
            projects.install_hotkeys(self.label_studio.url, token, templates.read_hotkeys())
            context = self.chromium.new_context()
            page = context.new_page()
            page.goto(f"{self.label_studio.url}/user/login/")
            page.fill("input[name=email]", email)
            page.fill("input[name=password]", password)
            page.click("button[type=submit]")
            page.wait_for_url(lambda url: "login" not in url)
            self.known[who] = context.storage_state()
            context.close()
        context = self.chromium.new_context(viewport=window, storage_state=self.known[who])
        context.add_init_script(f"localStorage.setItem('labelStudio:settings', {json.dumps(json.dumps(SETTINGS))})")
        return context


@dataclass
class AnnotatorPage:
    """An annotator before their page, whose keys, clicks and drags are counted."""

    page: Any
    shots: Path
    errors: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=lambda: {"keys": 0, "clicks": 0, "drags": 0})

    def key(self, *names: str) -> None:
        for name in names:
            self.page.keyboard.press(name)
            self.done["keys"] += 1
            self.page.wait_for_timeout(60)

    def choose(self, label: str) -> None:
        """By its key."""
        self.key(templates.keys_of_classes(NFBL)[label])
        self.page.wait_for_function(f"{LIT}.includes({json.dumps(label)})")

    def click(self, x: float, y: float, times: int = 1) -> None:
        self.page.mouse.click(x, y, click_count=times)
        self.done["clicks"] += times
        self.page.wait_for_timeout(250)

    def on(self, found: Any, times: int = 1) -> None:
        box = found.bounding_box()
        self.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, times)

    def drag(self, x: float, y: float, to: float) -> None:
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for part in (0.3, 0.7, 1):
            self.page.mouse.move(x + (to - x) * part, y, steps=3)
        self.page.mouse.up()
        self.done["drags"] += 1
        self.page.wait_for_timeout(250)

    def took(self) -> tuple[int, int, int]:
        """Keys, clicks and drags since the last time."""
        took = tuple(self.done.values())
        self.done = dict.fromkeys(self.done, 0)
        return took  # type: ignore[return-value]

    def x_of(self, frame: int) -> float:
        """The middle of a frame of ours on the timeline as it is scrolled now, in px of the window."""
        box = self.page.locator(".lsf-keypoints__keypoints").first.bounding_box()
        return float(box["x"] + FRAME * frame + FRAME / 2)

    def y_of(self, row: int) -> float:
        """Row 0 is where a new event can always be drawn: on a row further down, its event is selected instead."""
        box = self.page.locator(".lsf-timeline-frames").bounding_box()
        return float(box["y"] + SCALE + ROW * row + ROW / 2)

    def fields(self) -> list[Any]:
        """The selected event's first and last frame."""
        found = self.page.locator("[class*=region-editor] input")
        return [found.nth(0), found.nth(1)]

    def listed(self) -> list[str]:
        return [" ".join(text.split()) for text in self.page.locator(".lsf-outliner-item").all_inner_texts()]

    def chosen(self) -> list[str]:
        """The classes that are lit on the right."""
        return list(self.page.evaluate(LIT))

    def ticked(self) -> list[str]:
        lit = "() => [...document.querySelectorAll('.dd-right .lsf-choice')].filter(e => e.querySelector('input:checked'))"
        return [t.split("[")[0].strip() for t in self.page.evaluate(lit + ".map(e => e.innerText)")]

    def frame(self) -> int:
        """The number that the page says, less one: ours."""
        return int(self.page.locator(".lsf-frames-control").inner_text().split()[0]) - 1

    def seen(self) -> int:
        """The number in the picture that the page shows."""
        self.page.wait_for_function(STILL)
        self.page.wait_for_timeout(100)
        return int(self.page.evaluate(SEEN))

    def go_to(self, frame: int) -> None:
        self.page.locator(".lsf-frames-control").click()
        box = self.page.locator(".lsf-frames-control input")
        box.fill(str(frame + 1))
        box.press("Enter")

    def shot(self, name: str) -> None:
        self.page.mouse.move(2, 2)
        self.page.screenshot(path=self.shots / f"{name}.png")

    def hand_in(self) -> dict[str, Any]:
        """Ctrl+Enter; what the server was sent."""
        with self.page.expect_response(lambda r: r.request.method == "POST" and "/annotations" in r.url) as got:
            self.page.keyboard.press("Control+Enter")
        assert got.value.status == 201
        return dict(json.loads(got.value.request.post_data))


@dataclass
class Site:
    """A project of its own at the server."""

    project: Project
    label_studio: LabelStudio
    browser: Browser
    shots: Path

    def push(self, clip: SafeClip, template: str = "nfbl_timeline", size: str = "1440x900", proposals: Any = ()) -> SafeClip:
        """Hand one clip over. proposals: (rule, first frame, end frame)."""
        settings = f'[labelling]\nsize = "{size}"\nproposals = 1\noverlap = 2\n'
        (self.project.root / "deemo.toml").write_text(settings)
        said = [{"rule": r, "start_frame": s, "end_frame": e, "score": 0.8, "why": WHY} for r, s, e in proposals]
        clip = SafeClip(clip.with_results({}, {"proposals": said}))
        handed = push_clips(self.project, workspace.connect_server(self.project), [clip], template)
        assert handed.new == 1
        return clip

    @contextmanager
    def open_page(self, who: str = "ann", template: str = "nfbl_timeline", size: str = "1440x900") -> Iterator[AnnotatorPage]:
        """Sign in as an ordinary annotator, with our keys, and open the label stream."""
        context = self.browser.signed_in(who, size)
        page = context.new_page()
        annotator, ours = AnnotatorPage(page, self.shots), (self.label_studio.url, "blob:", "data:")
        page.on("pageerror", lambda e: annotator.errors.append(str(e)))
        page.on("request", lambda r: None if r.url.startswith(ours) else annotator.errors.append(r.url))
        page.goto(f"{self.label_studio.url}/projects/{workspace.read_project_numbers(self.project)[template]}/data?labeling=1")
        page.wait_for_selector(".lsf-bottombar")
        page.wait_for_function(STILL)
        page.wait_for_timeout(1200)
        yield annotator
        assert annotator.errors == []
        context.close()

    def pulled(self, clip: SafeClip) -> list[tuple[int, int, str, str]]:
        """What `deemo pull` brings back of a clip: (first frame, end frame, class, certainty)."""
        assert pull.pull(self.project).problems == ()
        found = [lb for lb in store.read_labels(self.project.labels_dir) if lb.clip == clip.id]
        return sorted(
            (p.start_frame, p.end_frame, p.label.value["label"], p.label.value.get("certainty") or "")
            for p in place_events(found, clip)
        )


@pytest.fixture
def site(
    label_studio: LabelStudio,
    browser: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    project = Project.make(tmp_path / "project")
    said = {"url": label_studio.url, "token": label_studio.token}
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps(said))
    monkeypatch.setattr(Project, "released_dir", label_studio.project.released_dir)  # whose videos are served
    shots = Path(os.environ.get("DEEMO_SHOTS") or tmp_path_factory.getbasetemp() / "shots")
    shots.mkdir(parents=True, exist_ok=True)
    return Site(project, label_studio, browser, shots)


RULES = [c.rule for c in NFBL.classes if c.rule]


@pytest.mark.parametrize("size", templates.PAGE_SIZES)
@pytest.mark.parametrize("template", ["nfbl_timeline", "adjudicate"])
def test_everything_lies_above_the_bar(site: Site, clips: dict[str, SafeClip], size: str, template: str) -> None:
    clip = site.push(
        clips["c-long"], "nfbl_timeline", size, [(rule, 5 + 30 * n, 25 + 30 * n) for n, rule in enumerate(RULES[:6])]
    )
    if template == "adjudicate":
        for who, shift in (("ann", 0), ("ben", 9)):
            one = [marked(n, NFBL.labels[n], 10 + 30 * n + shift, 30 + 30 * n + shift) for n in range(5)]
            task = site.label_studio.tasks(workspace.read_project_numbers(site.project)["nfbl_timeline"])[clip.id]
            site.label_studio.hand_in(site.label_studio.annotator(who)[2], task, *one)
        site.pulled(clip)
        assert push_clips(site.project, workspace.connect_server(site.project), [clip], "adjudicate").new == 1
    with site.open_page("cleo" if template == "adjudicate" else "ann", template, size) as annotator:
        annotator.page.wait_for_selector(".dd .lsf-keypoints >> nth=5")
        boxes = annotator.page.evaluate(BOXES)
        annotator.shot(f"{template}-{size}")
        width, bar = int(size.split("x")[0]), boxes["bar"][1]
        left, top, right, bottom = boxes["video"]
        assert (right - left) >= (bottom - top) * 16 / 9 - 1, "the picture is as high as the player"
        assert bottom - top >= templates.PAGE_SIZES[size].video - 1
        whole = [row for row in boxes["rows"] if row[3] <= min(boxes["timeline"][3], bar)]
        assert len(whole) >= 5, "rows of events"
        assert max(box[3] for box in boxes["wave"]) <= bar
        assert min(box[3] - box[1] for box in boxes["wave"]) > 20
        assert len(boxes["labels"]) == len(NFBL.classes)
        assert all(x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= bar for x0, y0, x1, y1 in boxes["labels"])
        assert boxes["right"][3] <= bar
        assert boxes["scrolls"] == []
        annotator.on(annotator.page.locator(".lsf-outliner-item").first)
        boxes = annotator.page.evaluate(BOXES)
        assert boxes["right"][3] <= bar, "with the choice of how sure"
        assert boxes["scrolls"] == []


def marked(number: int, label: str, start: int, end: int) -> dict[str, Any]:
    return region_json({"id": f"{number:016x}", "label": label, "start_frame": start, "end_frame": end, "score": 1, "why": ""})


def test_what_is_done_comes_back_to_the_frame(site: Site, clips: dict[str, SafeClip]) -> None:
    """Accept, move two edges, draw a short and a long event; counted, and pulled."""
    clip = site.push(clips["c-long"], proposals=[(RULES[0], 2, 12), (RULES[1], 15, 30), (RULES[2], 60, 90)])
    names = [NFBL.class_of_rule(rule).name for rule in RULES[:3]]  # type: ignore[union-attr]
    with site.open_page() as annotator:
        items = annotator.page.locator(".lsf-outliner-item")
        assert items.count() == 3
        rows = {name: n for n, name in enumerate(annotator.page.locator(".lsf-keypoints__name").all_inner_texts())}
        of = {name: next(n for n, text in enumerate(annotator.listed()) if name in text) for name in names}

        annotator.on(items.nth(of[names[0]]))
        assert WHY in annotator.page.locator("body").inner_text(), "why it was proposed can be read"
        annotator.key("Shift+1")
        keys, clicks, drags = annotator.took()
        assert (keys, clicks, drags) <= (1, 1, 0), "accepted"
        annotator.shot("accepted")

        annotator.on(items.nth(of[names[1]]))
        annotator.drag(annotator.x_of(29), annotator.y_of(rows[names[1]]), annotator.x_of(32))
        assert [f.input_value() for f in annotator.fields()] == ["16", "33"], "the end, three frames on, by hand"

        annotator.on(items.nth(of[names[2]]))
        annotator.on(annotator.fields()[0], 2)
        annotator.page.keyboard.type("58")
        annotator.key("Enter")
        assert [f.input_value() for f in annotator.fields()] == ["58", "90"], "the beginning, three frames back, by number"

        annotator.key("u")
        annotator.go_to(0)
        annotator.took()
        annotator.choose("Moving torso")
        annotator.drag(annotator.x_of(10), annotator.y_of(0), annotator.x_of(29))
        annotator.key("Shift+2")
        assert annotator.took() == (2, 0, 1), "a new event of 20 frames"
        annotator.shot("drawn")

        annotator.key("u")
        annotator.took()
        annotator.choose("Folding arms")
        annotator.click(annotator.x_of(33), annotator.y_of(0))
        annotator.on(annotator.fields()[1], 2)
        annotator.key("1", "3", "3", "Enter")
        keys, clicks, drags = annotator.took()
        assert keys <= 6
        assert clicks <= 3
        assert drags == 0
        annotator.key("Shift+3")
        annotator.shot("long")
        annotator.hand_in()
    assert site.pulled(clip) == sorted([
        (2, 12, names[0], "sure"), (15, 33, names[1], ""), (57, 90, names[2], ""), (10, 30, "Moving torso", "unsure"),
        (33, 133, "Folding arms", "guess"),
    ])  # fmt: skip


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_the_picture_is_of_the_frame_that_the_page_says(site: Site, clips: dict[str, SafeClip], fps: Fraction) -> None:
    """By number, by arrow keys, by an event, after playing, to both ends. The first complaint of Label Studio's users."""
    clip = site.push(clips[f"c-{fps.numerator}-{fps.denominator}"], proposals=[(RULES[0], 41, 77)])
    last, found = clip.num_frames - 1, []
    with site.open_page() as annotator:
        assert annotator.page.locator(".lsf-frames-control").inner_text().split() == ["1", "of", str(clip.num_frames)]

        def look(where: str, want: int | None = None) -> None:
            picture, number = annotator.seen(), annotator.frame()
            found.append((where, number if want is None else want, number, picture))

        look("opened", 0)
        annotator.on(annotator.page.locator(".lsf-outliner-item").first)
        look("its event", 41)
        annotator.key("u")
        for frame in (1, 23, 24, 25, 29, 30, 50, 59, 60, 100, 119, last - 1):
            annotator.go_to(frame)
            look("number", frame)
        annotator.click(950, 800)
        for want in (last, last):  # it does not go past the end
            annotator.key("ArrowRight")
            look("right", want)
        for back in range(1, 8):
            annotator.key("ArrowLeft")
            look("left", last - back)
        annotator.go_to(10)
        annotator.click(950, 800)
        annotator.key("Alt+q")
        annotator.page.wait_for_timeout(700)
        annotator.key("Alt+q")
        annotator.page.wait_for_timeout(300)
        look("after playing")
        assert annotator.frame() > 10
    assert [line for line in found if len(set(line[1:])) > 1] == []


@pytest.mark.parametrize("template", ["nfbl_timeline", "clip_review", "mer_clues"])
def test_no_key_loses_or_skips_anything(site: Site, clips: dict[str, SafeClip], template: str) -> None:
    site.push(clips["c-long"], template, proposals=[(RULES[0], 2, 12)])
    page = ElementTree.fromstring(templates.render_page(template, NFBL, EMOTIONS))
    with site.open_page(template=template) as annotator:
        sent: list[str] = []
        annotator.page.on(
            "request", lambda r: sent.append(r.url) if r.method in ("POST", "DELETE") and "annotations" in r.url else None
        )
        annotator.click(950, 810)
        before, missed = annotator.listed(), []
        for label in page.iter("Label"):
            if key := label.get("hotkey"):
                annotator.key(key)
                missed += [] if annotator.chosen() == [label.get("value")] else [(key, label.get("value"), annotator.chosen())]
                annotator.key(key)
        for choices in page.iter("Choices"):
            for choice in choices.iter("Choice"):
                if (key := choice.get("hotkey")) and not choices.get("perRegion"):
                    annotator.key(key.replace("shift", "Shift"))
                    missed += (
                        [] if choice.get("value") in annotator.ticked() else [(key, choice.get("value"), annotator.ticked())]
                    )
        for key in ("Control+d", "Control+Space", "Control+Backspace", "Space"):
            annotator.key(key)
            annotator.page.wait_for_timeout(300)
        assert missed == []
        assert annotator.listed() == before
        assert sent == []
        assert annotator.page.locator(".lsf-bottombar").is_visible()
        annotator.shot(f"{template}-keys")


SENTENCE = "The quick brown fox; jumps over (a lazy) dog 1234567890 times / I am Quiet, zebra.  Two  spaces?"


def test_what_is_typed_comes_back(site: Site, clips: dict[str, SafeClip]) -> None:
    site.push(clips["c-long"], "mer_clues")
    with site.open_page(template="mer_clues") as annotator:
        annotator.click(950, 810)
        annotator.key("2", "w", "Shift+3")
        boxes = annotator.page.locator(".dd-right .lsf-text-area input, .dd-right .lsf-text-area textarea")
        names = ["emotion_words", "clue_video", "clue_audio", "clue_text", "reasoning"]
        assert boxes.count() == len(names)
        for n in range(len(names)):
            boxes.nth(n).click()
            annotator.page.keyboard.press("Control+End")
            annotator.page.keyboard.type(f"{n} {SENTENCE}")
        annotator.shot("mer_clues-typed")
        annotator.click(950, 830)
        sent = annotator.hand_in()
    got = {r["from_name"]: r["value"] for r in sent["result"]}
    for n, name in enumerate(names):
        (text,) = got[name]["text"]
        assert text.endswith(f"{n} {SENTENCE}"), "typed behind the draft that the box began with"
    assert got["sentiment"]["choices"] == [EMOTIONS.sentiments[1]]
    assert got["emotion"]["choices"] == [EMOTIONS.labels[1]]
    assert pull.pull(site.project).problems == ()
    said = {lb.kind: lb.value for lb in store.read_labels(site.project.labels_dir)}
    assert f"4 {SENTENCE}" in json.dumps(said)


def test_a_review_by_key_comes_back(site: Site, clips: dict[str, SafeClip]) -> None:
    site.push(clips["c-long"], "clip_review")
    with site.open_page(template="clip_review") as annotator:
        annotator.click(950, 810)
        annotator.key("1", "e", "0")
        annotator.shot("clip_review")
        sent = annotator.hand_in()
    got = {r["from_name"]: r["value"]["choices"] for r in sent["result"]}
    assert got == {"strong_emotion": ["yes"], "intensity": ["strong"], "identifying": ["nothing"]}


def test_the_adjudicator_sees_both_and_hands_in_one(site: Site, clips: dict[str, SafeClip]) -> None:
    clip = site.push(clips["c-long"])
    task = site.label_studio.tasks(workspace.read_project_numbers(site.project)["nfbl_timeline"])[clip.id]
    agreed, first, second = "Moving torso", "Folding arms", "Crossing fingers"
    for who, other, shift in (("ann", first, 0), ("ben", second, 2)):
        token = site.label_studio.annotator(who)[2]
        site.label_studio.hand_in(token, task, marked(1, agreed, 2, 20), marked(2, other, 22 + shift, 33 + shift))
    site.pulled(clip)
    assert push_clips(site.project, workspace.connect_server(site.project), [clip], "adjudicate").new == 1
    with site.open_page("cleo", "adjudicate") as annotator:
        annotator.shot("adjudicate")
        assert sorted(name for name in (agreed, first, second) for text in annotator.listed() if name in text).count(first) == 1
        assert any(second in text for text in annotator.listed())
        annotator.choose(second)
        annotator.drag(annotator.x_of(24), annotator.y_of(0), annotator.x_of(34))
        annotator.key("Shift+1")
        annotator.shot("adjudicate-drawn")
        sent = annotator.hand_in()
        names = {r["from_name"] for r in sent["result"]}
        assert {"nfbl", "ann_a", "ann_b"} <= names, "their versions come back, as they were shown"
    assert pull.pull(site.project).problems == ()
    said = [lb for lb in store.read_labels(site.project.labels_dir) if lb.kind == "nfbl" and lb.value.get("adjudicated")]
    placed = place_events(said, clip)
    assert sorted((p.start_frame, p.end_frame, p.label.value["label"]) for p in placed) == [(2, 20, agreed), (24, 35, second)]
    assert "ann_" not in json.dumps([lb.raw.get("results") for lb in said])


def test_a_silent_clip_shows_no_error(site: Site, clips: dict[str, SafeClip]) -> None:
    complaints = "[class*=error], [class*=Error], .ant-alert"
    site.push(clips["c-silent"])
    with site.open_page() as annotator:
        annotator.shot("silent")
        assert [text for text in annotator.page.locator(complaints).all_inner_texts() if text.strip()] == []
    other = Site(Project.make(site.project.root.parent / "other"), site.label_studio, site.browser, site.shots)
    said = {"url": site.label_studio.url, "token": site.label_studio.token}
    (other.project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps(said))
    other.push(clips["c-mute"])
    with other.open_page() as annotator:
        annotator.shot("no-sound-track")
        assert [text for text in annotator.page.locator(complaints).all_inner_texts() if text.strip()], (
            "this is how it would look"
        )
