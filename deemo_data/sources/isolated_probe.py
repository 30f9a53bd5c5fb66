"""Probes a video file in a process of its own, so that footage at which a decoder crashes does not end `deemo ingest`.

The pool comes from the caller (workflow/ingest.py), which takes in many files with one process.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deemo_data.clip import Clip, Facts
from deemo_data.errors import MediaError
from deemo_data.files import File
from deemo_data.media import probe
from deemo_data.media.streams import NO_WISH, TrackWish
from deemo_data.pipeline import run, workers
from deemo_data.pipeline.run import Failure


def probe_in_process(pool: workers.WorkerPool, path: Path, vfr_fps: int, wish: TrackWish = NO_WISH) -> Facts:
    """`probe.probe_video` in a worker process. Raises MediaError, also where the process dies, and OSError as it does there."""
    work = partial(run.catch_failure, "Ingest", work=partial(_probe_clip, vfr_fps=vfr_fps, wish=wish))
    clip = Clip("", "", 0, 0, {"source": File(str(path), "")})  # the loop's workers take clips; only the path counts
    [result] = workers.run_locally(work, [clip], 1, partial(run.dead_worker_failure, "Ingest"), pool)
    if isinstance(result, OSError):
        raise result
    if isinstance(result, Failure):
        raise MediaError(result.reason if path.name in result.reason else f"{path.name}: {result.reason}", result.advice)
    return result


def _probe_clip(clip: Clip, vfr_fps: int, wish: TrackWish) -> Facts | OSError:
    try:
        return probe.probe_video(clip.path("source"), vfr_fps, wish)
    except OSError as e:  # returned, not raised: the caller of probe_in_process words the advice
        return OSError(e.errno, e.strerror, e.filename)
