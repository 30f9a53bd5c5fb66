"""Moments and clue drafts of a project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from deemo_data.labels import placing, store
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.project import release, withdrawals
from deemo_data.project.clips import current
from deemo_data.project.problems import Problem, as_problems
from deemo_data.project.project import vocabularies

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip
    from deemo_data.labels.label import Label
    from deemo_data.preannotation.moments import Moment
    from deemo_data.project.project import Project

MODEL_CACHE = "language_model"  # below private/: what a language model was asked, and said


def ranked(
    project: Project, safe: Sequence[SafeClip], said: Sequence[Label], told: Callable[[str], None] = lambda line: None
) -> list[Moment]:
    """The clips by signs of strong emotion, the strongest first, as [moments] and [language_model] say."""
    from deemo_data.preannotation import moments

    config = project.config
    cache = project.private / MODEL_CACHE
    return moments.candidates(
        safe, said, vocabularies(project)[0], config.moments, model=config.language_model, cache=cache, told=told
    )


def moments_of(project: Project, told: Callable[[str], None]) -> tuple[list[Moment], list[Problem]]:
    """`ranked`, of all released clips, into out/moments.json."""
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        said, gone = store.in_force(project.labels), withdrawals.marks(project)
    found = ranked(project, safe, said, told)
    settings = asdict(project.config.moments)
    with project.locked():
        withdrawals.raise_if_new(project, gone)
        project.write_report("moments.json", {"settings": settings, "clips": [asdict(m) for m in found]})
    return found, as_problems(kept)


def clue_drafts(
    project: Project, safe: Sequence[SafeClip], said: Sequence[Label], nfbl: Nfbl, emotions: Emotions
) -> dict[str, dict[str, str]]:
    """By clip, what the text boxes of mer_clues begin with: clues by rules, and a reasoning that names no emotion yet."""
    from deemo_data.preannotation import clues, measures, reasoning

    near = placing.by_clip(said, safe)
    measured = {c.id: measures.measure(c, near[c.id], nfbl) for c in safe}
    of_subject: dict[str, list[SafeClip]] = {}
    for clip in safe:
        of_subject.setdefault(clip.facts["subject"], []).append(clip)
    found = {}
    for clip in safe:
        mine = of_subject[clip.facts["subject"]]
        drafted = clues.draft(clip, said, nfbl, emotions, mine, project.config.moments, measured=measured)
        found[clip.id] = reasoning.prefilled(drafted, reasoning.draft(clip, drafted, None, nfbl))
    return found
