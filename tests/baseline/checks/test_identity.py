"""The check of identity: planted leaks are found, and a usual emotion is not one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deemo_data.baseline.checks import identity
from tests.makers.check_material import make_material


def test_who_is_recognised() -> None:
    leak = identity.check_identity(make_material(who=2.0))
    assert leak.verdict == "problem"
    assert {f.name for f in leak.findings if f.is_detected()} == {"limb lengths", "random encoder"}
    assert leak.sentences[0].startswith("Yes. Of 16 people")
    assert leak.clips == 160
    clean = identity.check_identity(make_material())
    assert clean.verdict == "ok"


def test_a_usual_emotion_is_no_identity() -> None:
    """Features show the emotion, and people have usual ones: that alone must name nobody."""
    seen = sum(
        identity.check_identity(make_material(each=6, clustered=True, signal=3.0, seed=seed)).verdict == "problem"
        for seed in range(6)
    )
    assert seen <= 1


def test_the_verdict_rests_on_inputs_and_not_on_trained_features() -> None:
    leak, rng = make_material(who=2.0), np.random.default_rng(0)
    hidden = identity.check_identity(replace(leak, trained_features={"trained encoders": rng.standard_normal((240, 8))}))
    assert hidden.verdict == "problem"
    assert [f.is_detected() for f in hidden.context_findings] == [False]
    clean = make_material()
    shown = replace(clean, trained_features={"trained encoders": leak.features.identity_inputs["limb lengths"]})
    assert identity.check_identity(shown).verdict == "ok"
    assert identity.check_identity(shown).context_findings[0].is_detected()
    before = replace(clean, untrained_features={"untrained encoders": leak.features.identity_inputs["limb lengths"]})
    assert identity.check_identity(before).verdict == "problem"


def test_only_the_train_split_is_asked_who_it_is() -> None:
    whole = make_material(who=2.0)
    train = {e.subject_id for e in whole.examples if e.split == "train"}
    assert identity.check_identity(whole).subjects == len(train) == 16
