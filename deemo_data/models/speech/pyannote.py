"""Who speaks when, by pyannote.audio's own pipelines: from a local folder, or from the hub when the config names one.

pyannote.audio brings torch (several GB) and is never needed otherwise: the extra [pyannote]. The weights that its
authors publish are gated: you accept their terms, and fetch them with a token of your own.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyannote.core import Annotation

from deemo_data.errors import ModelError
from deemo_data.tracks.turns import letter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RATE = 16_000
HUB = "pyannote/speaker-diarization-community-1"
WITHOUT = 'in deemo.toml, [diarise], write method = "embedded"'


def diarise(
    wave: NDArray[np.float32], model: str, sha256: str, *, speakers: int | None = None, most: int = 8, uri: str = ""
) -> Annotation:
    """Speakers A, B, C ... by first word, of a mono wave (n,) float32 at 16 kHz; one at a time where the pipeline can say so.

    model   a folder with config.yaml in it, whose digest is `sha256`; or the hub's owner/name
    """
    pipeline = load(model, sha256)
    import torch

    sound = {"waveform": torch.from_numpy(wave)[None], "sample_rate": RATE}
    wanted = {"num_speakers": speakers} if speakers is not None else {"max_speakers": most}
    with torch.inference_mode():
        said = pipeline(sound, **wanted)
    found = said if isinstance(said, Annotation) else said.exclusive_speaker_diarization
    return lettered(found, uri)


def lettered(found: Annotation, uri: str = "") -> Annotation:
    """The same turns, their speakers A, B, C ... by first word."""
    names: dict[Any, str] = {}
    named = Annotation(uri=uri)
    for segment, track, label in sorted(found.itertracks(yield_label=True), key=lambda row: (row[0], str(row[1]))):
        named[segment, track] = names.setdefault(label, letter(len(names)))
    return named


@cache
def load(model: str, sha256: str) -> Any:
    """The pipeline, once per process. Raises ModelError that says what is missing."""
    folder = Path(model).expanduser() if model else None
    local = folder is not None and folder.is_dir()
    if not local and (folder is None or folder.is_absolute() or model.count("/") != 1):
        raise ModelError(
            f"method = pyannote: no folder {model}" if model else "method = pyannote: no model is named",
            f'In deemo.toml, [diarise], write model = "/folder/with/config.yaml" or "{HUB}"',
        )
    if folder is not None and local:
        _check(folder, sha256)
    pipelines = _installed()
    return _from_folder(pipelines, folder) if folder is not None and local else _from_hub(pipelines, model)


def digest(folder: Path) -> str:
    """One sha256 over the names and bytes of all files of a folder, hidden ones left out."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if not any(part.startswith(".") for part in name.split("/")):
            with path.open("rb") as file:
                whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _check(folder: Path, sha256: str) -> None:
    if not (folder / "config.yaml").is_file():
        raise ModelError(f"{folder} is no pipeline of pyannote.audio: it has no config.yaml", "Name the folder that has it")
    found = digest(folder)
    if found != sha256:
        raise ModelError(
            f"the pipeline in {folder} has the digest {found}, not {sha256 or 'one that was written down'}",
            f'If it is the one you mean, write in deemo.toml, [diarise]: model_sha256 = "{found}"',
        )


def _installed() -> Any:
    """pyannote.audio's Pipeline, its telemetry off."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    try:
        from pyannote.audio import Pipeline
    except ImportError as problem:
        raise ModelError(
            f"pyannote.audio cannot be imported: {problem}",
            f"Type: pip install 'deemo-data[pyannote]' (several GB), or {WITHOUT}",
        ) from problem
    return Pipeline


def _from_folder(pipelines: Any, folder: Path) -> Any:
    """Nothing is fetched for it: a config that names a model of the hub is an error, not a download."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        with redirect_stdout(StringIO()):
            pipeline = pipelines.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError) as problem:
        raise ModelError(
            f"pyannote.audio cannot load {folder}: {problem}", "See its config.yaml: all it names must lie in the folder"
        ) from problem
    finally:
        constants.HF_HUB_OFFLINE = before
    if pipeline is None:
        raise ModelError(f"pyannote.audio finds no pipeline in {folder}", "See its config.yaml")
    return pipeline


def _from_hub(pipelines: Any, name: str) -> Any:
    """The hub is asked only here, and only because the config names something on it."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    accept = f"Accept its terms on its page of the hub, signed in as the token's owner; or {WITHOUT}"
    if not get_token():
        raise ModelError(f"{name} is gated, and there is no token", f"Set HF_TOKEN to one of yours; or {WITHOUT}")
    try:
        with redirect_stdout(StringIO()):  # pyannote.audio prints what we say below
            pipeline = pipelines.from_pretrained(name)
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as problem:
        raise ModelError(
            f"{name} is not on this machine, and the hub cannot be asked",
            f"Fetch it where there is a network, then name its folder; or {WITHOUT}",
        ) from problem
    except (HfHubHTTPError, OSError) as problem:
        raise ModelError(f"{name} cannot be fetched: {type(problem).__name__}", accept) from problem
    except AttributeError as problem:  # a part of it was refused, and pyannote.audio went on without
        raise ModelError(f"{name}: part of it was not given out", accept) from problem
    if pipeline is None:  # how pyannote.audio says that the hub refused
        raise ModelError(f"{name}: the hub does not give it out to this token", accept)
    return pipeline
