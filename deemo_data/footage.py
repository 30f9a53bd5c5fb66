"""One file of footage while it is taken in: looked at from a safe distance, and what was said of it before."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deemo_data import executors, media, pipeline, release
from deemo_data.clip import Clip, Facts, File
from deemo_data.errors import MediaError
from deemo_data.pipeline import Failure


def probed(crew: executors.Crew, path: Path, vfr_fps: int) -> Facts:
    """`media.probe` in another process: footage at which a decoder crashes is refused, and the rest is taken in."""
    work = partial(pipeline.attempt, "Ingest", work=partial(_probe, vfr_fps=vfr_fps))
    unknown = Clip("", "", 0, 0, {"source": File(str(path), "")})
    [told] = executors.local(work, [unknown], 1, partial(pipeline.died, "Ingest"), crew)
    if isinstance(told, OSError):
        raise told
    if isinstance(told, Failure):
        raise MediaError(told.reason if path.name in told.reason else f"{path.name}: {told.reason}", told.advice)
    return told


def _probe(unknown: Clip, vfr_fps: int) -> Facts | OSError:
    try:
        return media.probe(unknown.path("source"), vfr_fps)
    except OSError as e:  # what to do about it, ingest says
        return OSError(e.errno, e.strerror, e.filename)


def remembering(source: Clip, old: Clip | None) -> Clip:
    """A source that was taken in again: where nothing is said this time, what was said before holds."""
    if old is None:
        return source
    keep = {n: old.facts[n] for n in ("licence", "spans") if not source.facts[n]}
    new, was = source.facts["consent"], old.facts["consent"]
    held = was and was["statement"].casefold() not in release.NO_CONSENT  # a withdrawal holds against --consent too
    if was and (not new or (held and new["asserted"] and not was["asserted"])):
        keep["consent"] = was
    if source.facts["subject_assumed"]:
        keep |= {n: old.facts[n] for n in ("subject", "subject_assumed")}
    return source.knowing({}, keep)
