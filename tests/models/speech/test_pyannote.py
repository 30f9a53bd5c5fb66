"""pyannote.audio: asked only when named, never silently, and its real pipeline class from a local folder (slow)."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyannote.core import Annotation, Segment

from deemo_data.errors import ModelError
from deemo_data.models.speech import pyannote

REPO = Path(__file__).resolve().parents[3]
TORCH = ("torch==2.9.1", "torchaudio==2.9.1", "torchcodec>=0.9,<0.10", "pyannote.audio>=4,<5")  # as the extra [pyannote]
ROOM = 12e9  # bytes that must be free to make the venv
without = pytest.mark.skipif(importlib.util.find_spec("pyannote.audio") is not None, reason="pyannote.audio is installed here")


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    pyannote.load.cache_clear()
    yield
    pyannote.load.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pipeline"
    made.mkdir()
    (made / "config.yaml").write_text("pipeline: {name: none}\n")
    return made


def test_letters_go_by_first_word() -> None:
    found = Annotation()
    for start, end, who in ((3, 4, "SPEAKER_00"), (0, 2, "SPEAKER_01"), (5, 6, "SPEAKER_01")):
        found[Segment(start, end)] = who
    rows = [(s.start, s.end, who) for s, _, who in pyannote.rename_speakers(found).itertracks(yield_label=True)]
    assert rows == [(0, 2, "A"), (3, 4, "B"), (5, 6, "A")]


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "community-1", "a/b/c"])
def test_what_is_no_model(name: str) -> None:
    with pytest.raises(ModelError, match="method = pyannote") as caught:
        pyannote.load(name, "")
    assert "model = " in caught.value.advice


def test_a_folder_is_taken_by_its_digest_only(folder: Path) -> None:
    digest = pyannote.digest_folder(folder)
    for said in ("", "0" * 64):
        with pytest.raises(ModelError, match=digest) as caught:
            pyannote.load(str(folder), said)
        assert f'model_sha256 = "{digest}"' in caught.value.advice
    (folder / ".cache").mkdir()
    (folder / ".cache" / "note").write_text("x")
    assert pyannote.digest_folder(folder) == digest, "hidden files are not part of it"
    (folder / "plda").mkdir()
    (folder / "plda" / "plda.npz").write_bytes(b"1")
    assert pyannote.digest_folder(folder) != digest
    (folder / "config.yaml").unlink()
    with pytest.raises(ModelError, match=r"no config\.yaml"):
        pyannote.load(str(folder), digest)


@without
def test_what_to_type_without_pyannote(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"pyannote\.audio cannot be imported") as caught:
        pyannote.load(str(folder), pyannote.digest_folder(folder))
    assert "pip install 'deemo-data[pyannote]'" in caught.value.advice
    assert 'method = "embedded"' in caught.value.advice


class Pipelines:
    """What stands for pyannote.audio's Pipeline; `says` is given back or raised."""

    def __init__(self, says: Any) -> None:
        self.says, self.asked = says, []

    def from_pretrained(self, name: Any) -> Any:
        from huggingface_hub import constants

        self.asked.append((str(name), constants.HF_HUB_OFFLINE))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> Pipelines:
    stand_in = Pipelines(None)
    monkeypatch.setattr(pyannote, "_import_pipeline", lambda: stand_in)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return stand_in


def test_a_folder_is_read_with_the_hub_shut(folder: Path, pipelines: Pipelines) -> None:
    from huggingface_hub import constants

    pipelines.says = "a pipeline"
    assert pyannote.load(str(folder), pyannote.digest_folder(folder)) == "a pipeline"
    assert pipelines.asked == [(str(folder), True)]
    assert constants.HF_HUB_OFFLINE is False
    pyannote.load.cache_clear()
    pipelines.says = OSError("the hub is not asked")
    with pytest.raises(ModelError, match="cannot load"):
        pyannote.load(str(folder), pyannote.digest_folder(folder))
    assert constants.HF_HUB_OFFLINE is False


def test_the_hub_without_a_token_is_not_asked(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ModelError, match="there is no token") as caught:
        pyannote.load(pyannote.HUB_PIPELINE, "")
    assert "HF_TOKEN" in caught.value.advice
    assert pipelines.asked == []


@pytest.mark.parametrize(
    ("says", "what"),
    [
        (None, "does not give it out"),
        (AttributeError("no eval"), "part of it was not given out"),
        (ConnectionError("refused"), "cannot be fetched"),
    ],
)
def test_terms_that_were_not_accepted(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch, says: Any, what: str) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    pipelines.says = says
    with pytest.raises(ModelError, match=what) as caught:
        pyannote.load(pyannote.HUB_PIPELINE, "")
    assert "Accept its terms" in caught.value.advice
    assert "hf_secret" not in str(caught.value)
    assert pipelines.asked == [(pyannote.HUB_PIPELINE, False)]


def test_an_offline_machine_says_so(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import OfflineModeIsEnabled

    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    pipelines.says = OfflineModeIsEnabled("offline")
    with pytest.raises(ModelError, match="the hub cannot be asked") as caught:
        pyannote.load(pyannote.HUB_PIPELINE, "")
    assert "name its folder" in caught.value.advice


# ── the real thing, in a venv of its own ─────────────────────────────────────────────────────────────────────


BUILD = '''
import sys, torch, numpy as np
from pathlib import Path
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import XVectorMFCC
from pyannote.audio.models.segmentation import PyanNet
import pytorch_lightning

out = Path(sys.argv[1])
torch.manual_seed(0)

def save(model, folder):
    kept = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams),
            "pytorch-lightning_version": pytorch_lightning.__version__}
    model.on_save_checkpoint(kept)
    folder.mkdir(parents=True)
    torch.save(kept, folder / "pytorch_model.bin")

who = PyanNet(lstm={"hidden_size": 8, "num_layers": 1}, linear={"hidden_size": 8, "num_layers": 1})
who.specifications = Specifications(problem=Problem.MONO_LABEL_CLASSIFICATION, resolution=Resolution.FRAME, duration=5.0,
                                    classes=["a", "b", "c"], powerset_max_classes=2, permutation_invariant=True)
who.build()
with torch.no_grad():
    who.classifier.weight *= 30  # so that what it says changes with the sound
    who.classifier.bias[0] = -20  # and it always hears somebody
save(who, out / "segmentation")

like = XVectorMFCC(mfcc={"n_mfcc": 20, "log_mels": True}, dimension=32)
like.specifications = Specifications(problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0, classes=None)
like.build()
save(like, out / "embedding")

rng = np.random.default_rng(0)
(out / "plda").mkdir()
lda = np.linalg.qr(rng.normal(size=(32, 16)))[0]
np.savez(out / "plda" / "xvec_transform.npz", mean1=np.zeros(32), mean2=np.zeros(16), lda=lda)
np.savez(out / "plda" / "plda.npz", mu=np.zeros(16), tr=np.eye(16), psi=np.linspace(4, 1, 16))
(out / "config.yaml").write_text("""
dependencies: {pyannote.audio: 4.0.0}
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params: {clustering: VBxClustering, segmentation: $model/segmentation, segmentation_batch_size: 8, embedding: $model/embedding,
           embedding_batch_size: 8, embedding_exclude_overlap: true, plda: $model/plda}
params:
  clustering: {threshold: 0.6, Fa: 0.07, Fb: 0.8}
  segmentation: {min_duration_off: 0.0}
""")
'''

HEAR = """
import json, sys, wave
import numpy as np
from pyannote.core import Annotation
from deemo_data.models.speech import pyannote

folder, sound = sys.argv[1:]
with wave.open(sound) as f:
    samples = np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / 32768
digest = pyannote.digest_folder(__import__("pathlib").Path(folder))
said = []
for count in (None, 1, 2):
    found = pyannote.diarise(samples, folder, digest, speakers=count, max_speakers=4, uri="sample")
    said.append({"is": type(found) is Annotation, "uri": found.uri,
                 "turns": [[s.start, s.end, who] for s, _, who in found.itertracks(yield_label=True)]})
kind = type(pyannote.load(folder, digest))
print(json.dumps({"said": said, "class": kind.__module__ + "." + kind.__name__}))
"""


def venv_python(folder: Path) -> Path:
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


@pytest.fixture(scope="module")
def torch_python() -> Path:
    """A Python that has pyannote.audio: DEEMO_PYANNOTE_VENV, else made once in the system's folder for such things."""
    folder = Path(os.environ.get("DEEMO_PYANNOTE_VENV") or Path(tempfile.gettempdir()) / "deemo-pyannote-venv")
    python, done = venv_python(folder), folder / "all-of-it-is-installed"
    if not done.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
        if free < ROOM:
            pytest.skip(f"pyannote.audio and torch take 7.5 GB: {ROOM / 1e9:.0f} GB must be free, {free / 1e9:.1f} are")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        got = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *TORCH],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if got.returncode:
            pytest.skip(f"pip cannot install pyannote.audio here: {got.stderr.strip().splitlines()[-1]}")
        done.touch()
    return python


def run(python: Path, code: str, *words: str) -> str:
    env = {"PYTHONPATH": str(REPO), "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "HOME": os.environ.get("HOME", "")}
    done = subprocess.run([str(python), "-c", code, *words], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_real_pipeline_from_a_local_folder(media: Path, torch_python: Path, tmp_path: Path) -> None:
    """Small random models, so what is said means nothing; that it is said, and in our letters, is the point."""
    model = tmp_path / "pipeline"
    model.mkdir()
    run(torch_python, BUILD, str(model))
    heard = json.loads(run(torch_python, HEAR, str(model), str(media / "audio" / "diar" / "sample.wav")).splitlines()[-1])
    assert heard["class"] == "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization"
    for said, most in zip(heard["said"], (4, 1, 2), strict=True):
        assert said["is"]
        assert said["uri"] == "sample"
        turns = sorted(said["turns"])
        assert turns
        assert all(0 <= start < end <= 30.1 for start, end, _ in turns)
        assert all(a[1] <= b[0] + 1e-6 for a, b in itertools.pairwise(turns)), "one at a time"
        letters = list(dict.fromkeys(who for _, _, who in turns))
        assert letters == ["A", "B", "C", "D"][: len(letters)]
        assert len(letters) <= most


def test_the_pins_are_those_of_the_extra() -> None:
    import tomllib

    extra = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]["pyannote"]
    assert set(TORCH) == set(extra)


def test_a_pipeline_that_answers_in_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyannote.audio 3 gives an Annotation; 4 an object with one in which nobody speaks at once."""
    from contextlib import nullcontext

    import numpy as np

    found = Annotation()
    found[Segment(0, 1)] = "x"
    asked: list[dict[str, Any]] = []
    tensor = SimpleNamespace(__getitem__=lambda self, i: self)
    stand_in = SimpleNamespace(from_numpy=lambda wave: {None: tensor}, inference_mode=nullcontext)
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    for said in (found, SimpleNamespace(exclusive_speaker_diarization=found, speaker_diarization=Annotation())):
        monkeypatch.setattr(pyannote, "load", lambda *a, said=said: lambda sound, **how: asked.append(how) or said)
        assert pyannote.diarise(np.zeros(3, np.float32), "m", "", speakers=2).labels() == ["A"]
        assert pyannote.diarise(np.zeros(3, np.float32), "m", "", max_speakers=5).labels() == ["A"]
    assert asked == [{"num_speakers": 2}, {"max_speakers": 5}] * 2
