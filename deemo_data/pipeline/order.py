"""The order of the stages, what a clip has before the first of them, and a check of that order.

To add a stage, put it into STAGE_ORDER after the stages that make what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deemo_data.errors import ConfigError
from deemo_data.pipeline.stage import Stage
from deemo_data.stages.deidentify.anonymise_voice import AnonymiseVoice
from deemo_data.stages.deidentify.assemble import Assemble
from deemo_data.stages.deidentify.assign_roles import AssignRoles
from deemo_data.stages.deidentify.check_leaks import CheckLeaks
from deemo_data.stages.deidentify.mask_video import MaskVideo
from deemo_data.stages.deidentify.publish_body import PublishBody
from deemo_data.stages.deidentify.redact import Redact
from deemo_data.stages.detect.detect_language import DetectLanguage
from deemo_data.stages.detect.diarise import Diarise
from deemo_data.stages.detect.find_faces import FindFaces
from deemo_data.stages.detect.find_text import FindText
from deemo_data.stages.detect.propose import Propose
from deemo_data.stages.detect.track_body import TrackBody
from deemo_data.stages.detect.track_hands import TrackHands
from deemo_data.stages.detect.transcribe import Transcribe

STAGE_ORDER = (
    TrackBody, FindFaces, TrackHands, FindText, DetectLanguage, Transcribe, Diarise, AssignRoles, Redact, AnonymiseVoice,
    MaskVideo, PublishBody, Propose, Assemble, CheckLeaks,
)  # fmt: skip
PER_SOURCE_STAGES = (DetectLanguage, Diarise)  # these get the whole source, so that its clips agree on languages and speakers
INITIAL_INPUTS = (
    "source",
    "grid",
    "has_sound",
    "sound",
    "subject",
    "known_names",
    "drawn",
    "speakers_said",
    "secret",
)  # before any stage


def check_order(stages: Sequence[Stage], have: Iterable[str]) -> None:
    """Check that each stage's needs are in `have` or made by an earlier stage, and that nothing is made twice.

    Raises ConfigError.
    """
    have = set(have)
    for stage in stages:
        name = type(stage).__name__
        if lacking := set(stage.needs) - have:
            raise ConfigError(f"{name} needs {sorted(lacking)}, which nothing before it makes")
        if twice := have & (set(stage.makes) | set(stage.tells)):
            raise ConfigError(f"{name} makes {sorted(twice)}, which is there already")
        have |= set(stage.makes) | set(stage.tells)
