"""Looks through a folder for footage, and counts every file: what may be footage, and what was passed over, by ending.

Footage is known by its ending. Files with an ending that is not known are tried: FFmpeg reads more kinds than any list holds.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

VIDEO_SUFFIXES = (
    ".264", ".265", ".3g2", ".3gp", ".3gp2", ".3gpp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".gxf",
    ".h264", ".h265", ".hevc", ".insv", ".ivf", ".lrv", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mk3d",
    ".mod", ".moov", ".mov", ".mp4", ".mp4v", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".ogg", ".ogm",
    ".ogv", ".ogx", ".qt", ".rm", ".rmvb", ".tod", ".tp", ".trp", ".ts", ".vob", ".vro", ".webm", ".wmv", ".wtv", ".xvid",
    ".y4m",
)  # fmt: skip
OTHER_SUFFIX_TEXT = (  # of files that are certainly no footage: not even tried
    "7z aac ac3 aif aiff amr aup aup3 bak bat bib bmp bz2 c cfg cha cmd conf cpp css csv ctl db dcm doc docx dng dot eaf "
    "eml eps exe f32 flac gz heic heif hpp htm html icc ico idx ini ipynb jar java jpeg jpg js json jsonl key lnk lock log "
    "m lab lrf lst m3u m3u8 m4a md mat mka mp2 mp3 npy npz numbers odp ods odt ogn oga onnx opus pages par parquet pdf pfsx "
    "pkl pl png pom ppt pptx prj prproj ps1 psd psfx pt pth py pyc r rar raw rds rdata rtf s sav sbv sh smi sql srt ssa ass "
    "stl sub sup svg tab tar tex textgrid tgz thm tif tiff toml tsv ttf txt url vtt wav webloc webp wma wpl xlsb xls xlsm "
    "xlsx xml xmp xz yaml yml zip zst cr2 nef arw cpf bim bup ifo sha256 md5 par2 part crdownload download edl aaf fcpxml "
    "veg kdenlive otio cube lut "
)
OTHER_SUFFIXES = frozenset(OTHER_SUFFIX_TEXT.split())
HIDDEN = "hidden"
NO_SUFFIX = "no ending"
SPECIAL = "not a plain file"
DEAD_LINK = "link to nothing"


@dataclass(frozen=True)
class FoundFiles:
    """What is in a folder and its sub-folders.

    footage      files whose ending is one of footage, sorted
    candidates   files whose ending says nothing: FFmpeg may read them or not, sorted
    passed_over  {ending or reason: number of files} that were not looked into
    dead_links   links with an ending of footage that lead to nothing
    unreadable   folders that may not be read
    hidden_folders, projects, linked_folders   folders that were not looked into
    """

    footage: tuple[Path, ...]
    candidates: tuple[Path, ...]
    passed_over: Counter[str]
    dead_links: tuple[Path, ...]
    unreadable: tuple[Path, ...]
    hidden_folders: int
    projects: int
    linked_folders: int


def find_files(folder: Path) -> FoundFiles:
    """Look through a folder and its sub-folders. Hidden folders, project folders and linked folders are counted, not entered."""
    footage: list[Path] = []
    candidates: list[Path] = []
    dead_links: list[Path] = []
    unreadable: list[Path] = []
    passed_over: Counter[str] = Counter()
    hidden_folders = projects = linked_folders = 0
    for root, folders, names in os.walk(folder, onerror=lambda e: unreadable.append(Path(e.filename))):
        here = Path(root)
        if "deemo.toml" in names:  # the files in a project are no footage
            projects += 1
            folders.clear()
            continue
        hidden_folders += sum(name.startswith(".") for name in folders)
        linked_folders += sum((here / name).is_symlink() for name in folders if not name.startswith("."))
        folders[:] = [n for n in folders if not n.startswith(".") and not (here / n).is_symlink()]
        for name in names:
            path, suffix = here / name, Path(name).suffix.lower()
            if name.startswith("."):
                passed_over[HIDDEN] += 1
            elif path.is_symlink() and not path.exists():
                if suffix in VIDEO_SUFFIXES:
                    dead_links.append(path)
                else:
                    passed_over[DEAD_LINK] += 1
            elif not path.is_file():
                passed_over[SPECIAL] += 1
            elif suffix in VIDEO_SUFFIXES:
                footage.append(path)
            elif suffix[1:] in OTHER_SUFFIXES:
                passed_over[suffix] += 1
            else:
                candidates.append(path)
    return FoundFiles(
        tuple(sorted(footage)), tuple(sorted(candidates)), passed_over, tuple(sorted(dead_links)), tuple(sorted(unreadable)),
        hidden_folders, projects, linked_folders,
    )  # fmt: skip


def name_ending(path: Path) -> str:
    """The ending by which a file that was passed over is counted."""
    return path.suffix.lower() or NO_SUFFIX
