"""The channels that are text: spoken names, text on the screen, and metadata of the files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.audit.material import ChannelResult, Material, ResultLine
from deemo_data.audit.utility import score_share
from deemo_data.errors import MediaError
from deemo_data.reports.privacy_verdict import UNPROTECTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.audit.attacks.scores import Score
    from deemo_data.clip import Clip


LISTENER_WEIGHTS, READER_WEIGHTS = "whisper-tiny-en-2a4410", "ppocr-detector-090f04, ppocr-recogniser-6f3272"
FRAMES_READ_PER_CLIP = 4  # frames per clip in which text is read
MIN_WORD_LETTERS = 3  # shorter words are found in any picture
MIN_SECRET_LETTERS = 5  # shorter secrets occur in any video by chance, so they are not searched for


def attack_names(material: Material) -> ChannelResult:
    """An attacker with the list of names listens to the changed voice and reads the published transcript."""
    from deemo_data.audit.attacks import text as attacks
    from deemo_data.media import sound

    named = [k for k, c in enumerate(material.clips) if c.facts["has_sound"] and c.facts.get("known_names")]
    if not named:
        return ChannelResult(
            notes=["No names are listed for these sources (known_names in the CSV), so there is nothing to look for."]
        )
    clips = [material.clips[k] for k in named]
    material.watcher.on_stage("Names", len(clips) * (len(material.sides) + 1), 0)

    def listen(wave: NDArray[np.float32]) -> str:
        transcript = attacks.transcribe_wave(wave)
        material.watcher.on_clip("Names")
        return transcript

    before = [listen(sound.read_levelled_sound(c)) for c in clips]
    spoken_texts = {UNPROTECTED: before}
    read_texts = {UNPROTECTED: before}
    for profile, side in material.sides.items():
        spoken_texts[profile] = [listen(sound.read_wav(side[k].path("voice"))) for k in named]
        if all("transcript" in side[k].facts for k in named):
            read_texts[profile] = [str(side[k].facts["transcript"] or "") for k in named]
    result = ChannelResult()
    for attack, attacker, texts in (
        ("listens to the clip", "Whisper tiny", spoken_texts),
        ("reads the transcript", "reader", read_texts),
    ):
        if len(texts) > 1:
            cells = {side: share_of_names_found(before, transcript, clips) for side, transcript in texts.items()}
            result.lines.append(ResultLine(attack, attacker, "names found", cells, "low", LISTENER_WEIGHTS))
    if all(cell is None for line in result.lines for cell in line.cells.values()):
        result.notes.append("None of the listed names is heard in the originals.")
    return result


def share_of_names_found(before: Sequence[str], after: Sequence[str], clips: Sequence[Clip]) -> Score | None:
    """The share of names heard in the originals that is still found afterwards; None when no name is heard."""
    from deemo_data.audit.attacks.text import recall_names

    kept = [
        (float(recall_names([name], new).share > 0), clip.facts["subject"])
        for old, new, clip in zip(before, after, clips, strict=True)
        for name in name_parts(clip)
        if recall_names([name], old).share
    ]
    return score_share(kept, "names")


def name_parts(clip: Clip) -> list[str]:
    """The parts of all listed names, without short words: "in" of a subject called "man in a car" names nobody."""
    return sorted(
        {part for name in clip.facts.get("known_names") or () for part in name.split() if len(part) >= MIN_WORD_LETTERS}
    )


def attack_screen(material: Material) -> ChannelResult:
    """What a text recogniser still reads in the picture: words, and listed names."""
    from deemo_data.audit.attacks.face import safe_as_source
    from deemo_data.audit.attacks.screen import read_text_of_clip, recall_names_in_lines
    from deemo_data.audit.attacks.text import extract_folded_words

    material.watcher.on_stage("Screen", len(material.clips) * (len(material.sides) + 1), 0)

    def lines_of(clip: Clip) -> list[str]:
        lines = read_text_of_clip(clip, max(1, clip.num_frames // FRAMES_READ_PER_CLIP))
        material.watcher.on_clip("Screen")
        return lines

    sides = {UNPROTECTED: material.clips, **{name: [safe_as_source(c) for c in side] for name, side in material.sides.items()}}
    lines = {side: [lines_of(c) for c in clips] for side, clips in sides.items()}
    words = {
        side: [{w for line in s for w in extract_folded_words(line) if len(w) >= MIN_WORD_LETTERS} for s in all_]
        for side, all_ in lines.items()
    }
    cells: dict[str, Score | None] = {}
    named_cells: dict[str, Score | None] = {}
    for side in sides:
        pairs = [
            (float(w in now), who)
            for old, now, who in zip(words[UNPROTECTED], words[side], material.subjects, strict=True)
            for w in old
        ]
        cells[side] = score_share(pairs, "words")
        pairs = [
            (float(recall_names_in_lines([name], now).share > 0), clip.facts["subject"])
            for old, now, clip in zip(lines[UNPROTECTED], lines[side], material.clips, strict=True)
            for name in name_parts(clip)
            if recall_names_in_lines([name], old).share
        ]
        named_cells[side] = score_share(pairs, "names")
    result = ChannelResult(lines=[
        ResultLine("reads the picture", "PP-OCR", "words read", cells, "low", READER_WEIGHTS),
        ResultLine("looks for names", "PP-OCR", "names found", named_cells, "low", READER_WEIGHTS),
    ])  # fmt: skip
    if cells[UNPROTECTED] is None:
        result.notes.append("No text can be read in the originals, in the frames that were looked at.")
    elif named_cells[UNPROTECTED] is None:
        result.notes.append("No listed name can be read in the originals.")
    return result


def attack_metadata(material: Material) -> ChannelResult:
    """Tags of the files before and after; and secrets of the project, searched for in everything that was released."""
    from deemo_data.audit.attacks.metadata import tags_of
    from deemo_data.project import search

    def says(path: Path) -> float:
        try:
            return float(bool(tags_of(path)))
        except MediaError:  # a damaged original: that it cannot be read completely is not a tag
            return 0.0

    originals = {c.source: (c.path("source"), c.facts["subject"]) for c in material.clips}
    cells = {UNPROTECTED: score_share([(says(path), who) for path, who in originals.values()], "files")}
    for profile, side in material.sides.items():
        cells[profile] = score_share([(says(c.path("safe")), c.facts["subject"]) for c in side], "files")
    result = ChannelResult(lines=[ResultLine("reads the tags", "PyAV and bytes", "files that say something", cells, "low")])
    folders = [f for f in (material.project.released_dir, material.project.dataset_dir) if f.is_dir() and any(f.iterdir())]
    if not folders:
        result.notes.append("Nothing has been released yet, so no folder was searched for file names and names of subjects.")
        return result
    searched = sorted(list_secrets(material))
    found_secrets = {h.secret for folder in folders for h in search.find_secrets(folder, searched)}
    kept = score_share([(float(n in found_secrets), secret) for n, secret in enumerate(searched)], "secrets")
    result.lines.append(ResultLine("searches the files", "search", "secrets found", {material.own_profile: kept}, "low"))
    return result


def list_secrets(material: Material) -> set[str]:
    """What only the project knows about the clips: names of files and subjects, addresses, digests and private ids."""
    from deemo_data.sources.subjects import read_subjects

    sources = {c.source for c in material.clips}
    rows: list[Iterable[str]] = [
        [p.name] for p in read_subjects(material.project.private_dir / "subjects.csv") if p.source in sources
    ]
    for clip in material.clips:
        path = clip.path("source")
        rows.append([str(path), path.name, path.stem, clip.files["source"].sha256, clip.source, clip.id])
    return {word for words in rows for word in words if len(word) >= MIN_SECRET_LETTERS}
