"""Probing in a process of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deemo_data.clip import Clip, Facts
from deemo_data.errors import MediaError
from deemo_data.files import File
from deemo_data.media import probe
from deemo_data.pipeline import run, workers
from deemo_data.pipeline.run import Failure


def probed(crew: workers.WorkerPool, path: Path, vfr_fps: int) -> Facts:
    """`media.probe` in another process: footage at which a decoder crashes is refused, and the rest is taken in."""
    work = partial(run.attempt, "Ingest", work=partial(_probe, vfr_fps=vfr_fps))
    unknown = Clip("", "", 0, 0, {"source": File(str(path), "")})
    [told] = workers.run_locally(work, [unknown], 1, partial(run.died, "Ingest"), crew)
    if isinstance(told, OSError):
        raise told
    if isinstance(told, Failure):
        raise MediaError(told.reason if path.name in told.reason else f"{path.name}: {told.reason}", told.advice)
    return told


def _probe(unknown: Clip, vfr_fps: int) -> Facts | OSError:
    try:
        return probe.probe_video(unknown.path("source"), vfr_fps)
    except OSError as e:  # what to do about it, ingest says
        return OSError(e.errno, e.strerror, e.filename)
