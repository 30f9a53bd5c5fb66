"""Runs the pre-annotation (preannotation/) on a project: moments of strong emotion, and drafts of clues.

selection.py uses both for a push; `find_moments` is `deemo moments`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from deemo_data.labels import placing, store
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.project import withdrawals
from deemo_data.project.project import load_vocabularies
from deemo_data.project.release import release_current_clips

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip
    from deemo_data.labels.label import Label
    from deemo_data.preannotation.moments import Moment
    from deemo_data.project.problems import Problem
    from deemo_data.project.project import Project

MODEL_CACHE = "language_model"  # below private/: requests to the language model and its answers


def rank_moments(
    project: Project, clips: Sequence[SafeClip], labels: Sequence[Label], on_line: Callable[[str], None] = lambda line: None
) -> list[Moment]:
    """Rank clips by signs of strong emotion, the strongest first, with the settings [moments] and [language_model].

    on_line  called with each line for the user
    """
    from deemo_data.preannotation import moments

    config = project.config
    cache = project.private_dir / MODEL_CACHE
    return moments.rank_candidates(
        clips,
        labels,
        load_vocabularies(project)[0],
        config.moments,
        model=config.language_model,
        cache=cache,
        on_fallback=on_line,
    )


def find_moments(project: Project, on_line: Callable[[str], None]) -> tuple[list[Moment], list[Problem]]:
    """`deemo moments`: rank all released clips, and write out/moments.json. Problems: the clips that may not be released."""
    with project.lock():
        clips, problems = release_current_clips(project)
        labels, marks = store.read_labels(project.labels_dir), withdrawals.read_marks(project)
    ranked = rank_moments(project, clips, labels, on_line)
    settings = asdict(project.config.moments)
    with withdrawals.unless_withdrawn(project, marks):
        project.write_report("moments.json", {"settings": settings, "clips": [asdict(m) for m in ranked]})
    return ranked, problems


def draft_clues(
    project: Project, clips: Sequence[SafeClip], labels: Sequence[Label], nfbl: Nfbl, emotions: Emotions
) -> dict[str, dict[str, str]]:
    """{clip: {text box: draft}} for the page mer_clues: clues by rules, and a reasoning that leaves the emotion open."""
    from deemo_data.preannotation import clues, measures, reasoning

    labels_of = placing.group_by_clip(labels, clips)
    measured = {c.id: measures.measure_clip(c, labels_of[c.id], nfbl) for c in clips}
    clips_of_subject: dict[str, list[SafeClip]] = {}
    for clip in clips:
        clips_of_subject.setdefault(clip.facts["subject"], []).append(clip)
    drafts = {}
    for clip in clips:
        same_subject = clips_of_subject[clip.facts["subject"]]
        drafted = clues.draft_clues(clip, labels, nfbl, emotions, same_subject, project.config.moments, measures_by_clip=measured)
        drafts[clip.id] = reasoning.draft_fields(drafted, reasoning.draft_reasoning(clip, drafted, None, nfbl))
    return drafts
