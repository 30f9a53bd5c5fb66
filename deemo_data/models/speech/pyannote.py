"""Speaker diarisation by a pipeline of pyannote.audio, from a local folder, or from the Hugging Face hub if deemo.toml names one.

pyannote.audio brings torch (several GB), so it is the optional extra [pyannote]. The weights that its authors publish are gated:
users accept their terms and download them with their own token. models/speech/diarisation.py works without torch.
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
from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.tracks.turns import number_to_letter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


HUB_PIPELINE = "pyannote/speaker-diarization-community-1"
EMBEDDED_ADVICE = 'in deemo.toml, [diarise], write method = "embedded"'


def diarise(
    wave: NDArray[np.float32], model: str, sha256: str, *, speakers: int | None = None, max_speakers: int = 8, uri: str = ""
) -> Annotation:
    """The turns of a mono wave (n,) float32 at 16 kHz; speakers are A, B, C in order of their first turn.

    model         a folder with config.yaml whose digest is `sha256`, or the owner/name of a pipeline on the hub
    speakers      their number, if it is known; otherwise the pipeline finds up to `max_speakers`
    Turns do not overlap if the pipeline offers exclusive diarisation.
    """
    pipeline = load(model, sha256)
    import torch

    sound = {"waveform": torch.from_numpy(wave)[None], "sample_rate": SAMPLE_RATE_HZ}
    count = {"num_speakers": speakers} if speakers is not None else {"max_speakers": max_speakers}
    with torch.inference_mode():
        output = pipeline(sound, **count)
    turns = output if isinstance(output, Annotation) else output.exclusive_speaker_diarization
    return rename_speakers(turns, uri)


def rename_speakers(turns: Annotation, uri: str = "") -> Annotation:
    """The same turns with the speakers called A, B, C in order of their first turn."""
    names: dict[Any, str] = {}
    named = Annotation(uri=uri)
    for segment, track, label in sorted(turns.itertracks(yield_label=True), key=lambda row: (row[0], str(row[1]))):
        named[segment, track] = names.setdefault(label, number_to_letter(len(names)))
    return named


@cache
def load(model: str, sha256: str) -> Any:
    """Load the pipeline, once per process. Raises ModelError that says what is missing."""
    folder = Path(model).expanduser() if model else None
    local = folder is not None and folder.is_dir()
    if not local and (folder is None or folder.is_absolute() or model.count("/") != 1):
        raise ModelError(
            f"method = pyannote: no folder {model}" if model else "method = pyannote: no model is named",
            f'In deemo.toml, [diarise], write model = "/folder/with/config.yaml" or "{HUB_PIPELINE}"',
        )
    if folder is not None and local:
        _check_folder(folder, sha256)
    pipelines = _import_pipeline()
    return _from_folder(pipelines, folder) if folder is not None and local else _from_hub(pipelines, model)


def digest_folder(folder: Path) -> str:
    """One sha256 over the names and contents of all files of a folder, without hidden ones."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if not any(part.startswith(".") for part in name.split("/")):
            with path.open("rb") as file:
                digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _check_folder(folder: Path, sha256: str) -> None:
    """Raise ModelError unless a folder holds a pipeline with this digest."""
    if not (folder / "config.yaml").is_file():
        raise ModelError(f"{folder} is no pipeline of pyannote.audio: it has no config.yaml", "Name the folder that has it")
    digest = digest_folder(folder)
    if digest != sha256:
        raise ModelError(
            f"the pipeline in {folder} has the digest {digest}, not {sha256 or 'one that was written down'}",
            f'If it is the one you mean, write in deemo.toml, [diarise]: model_sha256 = "{digest}"',
        )


def _import_pipeline() -> Any:
    """The class Pipeline of pyannote.audio, with its telemetry switched off. Raises ModelError when it is not installed."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    try:
        from pyannote.audio import Pipeline
    except ImportError as problem:
        raise ModelError(
            f"pyannote.audio cannot be imported: {problem}",
            f"Type: pip install 'deemo-data[pyannote]' (several GB), or {EMBEDDED_ADVICE}",
        ) from problem
    return Pipeline


def _from_folder(pipelines: Any, folder: Path) -> Any:
    """Load a pipeline from a folder, offline: a config that names a model on the hub raises ModelError instead of a download."""
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
    """Load a pipeline from the hub. Only this function asks the hub, and only if the config names a pipeline on it."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    accept = f"Accept its terms on its page of the hub, signed in as the token's owner; or {EMBEDDED_ADVICE}"
    if not get_token():
        raise ModelError(f"{name} is gated, and there is no token", f"Set HF_TOKEN to one of yours; or {EMBEDDED_ADVICE}")
    try:
        with redirect_stdout(StringIO()):  # pyannote.audio prints what our errors say
            pipeline = pipelines.from_pretrained(name)
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as problem:
        raise ModelError(
            f"{name} is not on this machine, and the hub cannot be asked",
            f"Fetch it where there is a network, then name its folder; or {EMBEDDED_ADVICE}",
        ) from problem
    except (HfHubHTTPError, OSError) as problem:
        raise ModelError(f"{name} cannot be fetched: {type(problem).__name__}", accept) from problem
    except AttributeError as problem:  # the hub refused a part of it, and pyannote.audio continued without
        raise ModelError(f"{name}: part of it was not given out", accept) from problem
    if pipeline is None:  # pyannote.audio's sign that the hub refused
        raise ModelError(f"{name}: the hub does not give it out to this token", accept)
    return pipeline
