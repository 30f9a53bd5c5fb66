"""The channels of the audit that are words: spoken names, text on the screen, and what the files say about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.audit.material import Found, Line, Material
from deemo_data.audit.utility import share
from deemo_data.errors import MediaError
from deemo_data.reports.privacy_verdict import BEFORE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.audit.attacks.scores import Score
    from deemo_data.clip import Clip


EAR, READER = "whisper-tiny-en-2a4410", "ppocr-detector-090f04, ppocr-recogniser-6f3272"
LOOKS = 4  # frames a clip in which text is read
LETTERS = 3  # from which on a word counts: shorter ones are read into anything
LEAST = 5  # letters of a secret that is searched for: shorter ones stand in any video by chance


def names(material: Material) -> Found:
    """The ear of somebody who has the list of names, on the changed voice; and his eye, on the published transcript."""
    from deemo_data.audit.attacks import text as attacks
    from deemo_data.media import sound

    asked = [k for k, c in enumerate(material.clips) if c.facts["has_sound"] and c.facts.get("known_names")]
    if not asked:
        return Found(notes=["No names are listed for these sources (known_names in the CSV), so there is nothing to look for."])
    clips = [material.clips[k] for k in asked]
    material.watcher.stage("Names", len(clips) * (len(material.sides) + 1), 0)

    def ear(wave: NDArray[np.float32]) -> str:
        said = attacks.heard(wave)
        material.watcher.clip("Names")
        return said

    before = [ear(sound.read_sound(c)) for c in clips]
    heard = {BEFORE: before}
    written = {BEFORE: before}
    for profile, side in material.sides.items():
        heard[profile] = [ear(sound.read_wav(side[k].path("voice"))) for k in asked]
        if all("transcript" in side[k].facts for k in asked):
            written[profile] = [str(side[k].facts["transcript"] or "") for k in asked]
    found = Found()
    for attack, attacker, texts in (("listens to the clip", "Whisper tiny", heard), ("reads the transcript", "reader", written)):
        if len(texts) > 1:
            cells = {side: recalled(before, said, clips) for side, said in texts.items()}
            found.lines.append(Line(attack, attacker, "names found", cells, "low", EAR))
    if all(cell is None for line in found.lines for cell in line.cells.values()):
        found.notes.append("None of the listed names is heard in the originals.")
    return found


def recalled(before: Sequence[str], after: Sequence[str], clips: Sequence[Clip]) -> Score | None:
    """Of the names that are heard in the originals, the share that is still found; None when none is heard."""
    from deemo_data.audit.attacks.text import names_recalled

    kept = [
        (float(names_recalled([name], new).share > 0), clip.facts["subject"])
        for old, new, clip in zip(before, after, clips, strict=True)
        for name in parts(clip)
        if names_recalled([name], old).share
    ]
    return share(kept, "names")


def parts(clip: Clip) -> list[str]:
    """Each part of each listed name that is no little word: the "in" of a subject called "man in a car" is nobody."""
    return sorted({part for name in clip.facts.get("known_names") or () for part in name.split() if len(part) >= LETTERS})


def screen(material: Material) -> Found:
    """What a text recogniser still reads in the picture: words, and names that are listed."""
    from deemo_data.audit.attacks.face import as_source
    from deemo_data.audit.attacks.screen import names_seen, read_clip
    from deemo_data.audit.attacks.text import plain_words

    material.watcher.stage("Screen", len(material.clips) * (len(material.sides) + 1), 0)

    def lines_of(clip: Clip) -> list[str]:
        seen = read_clip(clip, max(1, clip.num_frames // LOOKS))
        material.watcher.clip("Screen")
        return seen

    sides = {BEFORE: material.clips, **{name: [as_source(c) for c in side] for name, side in material.sides.items()}}
    seen = {side: [lines_of(c) for c in clips] for side, clips in sides.items()}
    words = {
        side: [{w for line in s for w in plain_words(line) if len(w) >= LETTERS} for s in all_] for side, all_ in seen.items()
    }
    cells: dict[str, Score | None] = {}
    named: dict[str, Score | None] = {}
    for side in sides:
        kept = [
            (float(w in now), who)
            for old, now, who in zip(words[BEFORE], words[side], material.subjects, strict=True)
            for w in old
        ]
        cells[side] = share(kept, "words")
        kept = [
            (float(names_seen([name], now).share > 0), clip.facts["subject"])
            for old, now, clip in zip(seen[BEFORE], seen[side], material.clips, strict=True)
            for name in parts(clip)
            if names_seen([name], old).share
        ]
        named[side] = share(kept, "names")
    found = Found(lines=[
        Line("reads the picture", "PP-OCR", "words read", cells, "low", READER),
        Line("looks for names", "PP-OCR", "names found", named, "low", READER),
    ])  # fmt: skip
    if cells[BEFORE] is None:
        found.notes.append("No text can be read in the originals, in the frames that were looked at.")
    elif named[BEFORE] is None:
        found.notes.append("No listed name can be read in the originals.")
    return found


def metadata(material: Material) -> Found:
    """What files say beside picture and sound, before and after; and what only the project knows, in all that was released."""
    from deemo_data.audit.attacks.metadata import tags_of
    from deemo_data.project import search

    def says(path: Path) -> float:
        try:
            return float(bool(tags_of(path)))
        except MediaError:  # a broken file of the user's: that it cannot be read wholly is no tag
            return 0.0

    originals = {c.source: (c.path("source"), c.facts["subject"]) for c in material.clips}
    cells = {BEFORE: share([(says(path), who) for path, who in originals.values()], "files")}
    for profile, side in material.sides.items():
        cells[profile] = share([(says(c.path("safe")), c.facts["subject"]) for c in side], "files")
    found = Found(lines=[Line("reads the tags", "PyAV and bytes", "files that say something", cells, "low")])
    folders = [f for f in (material.project.released, material.project.dataset) if f.is_dir() and any(f.iterdir())]
    if not folders:
        found.notes.append("Nothing has been released yet, so no folder was searched for file names and names of subjects.")
        return found
    searched = sorted(secrets(material))
    hit = {h.secret for folder in folders for h in search.find_secrets(folder, searched)}
    kept = share([(float(n in hit), secret) for n, secret in enumerate(searched)], "secrets")
    found.lines.append(Line("searches the files", "search", "secrets found", {material.own: kept}, "low"))
    return found


def secrets(material: Material) -> set[str]:
    """What only the project knows of the clips: names of files and of subjects, addresses, digests and private ids."""
    from deemo_data.sources.subjects import read_subjects

    sources = {c.source for c in material.clips}
    known: list[Iterable[str]] = [
        [p.name] for p in read_subjects(material.project.private / "subjects.csv") if p.source in sources
    ]
    for clip in material.clips:
        path = clip.path("source")
        known.append([str(path), path.name, path.stem, clip.files["source"].sha256, clip.source, clip.id])
    return {word for words in known for word in words if len(word) >= LEAST}
