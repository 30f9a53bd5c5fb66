"""Hand-made features: they are what they claim, on bodies, voices and pictures of known content."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.baseline.checks import features


def body_of(frames: int = 60, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    """A person who stands: (frames, 64, 4), every point found."""
    rng = np.random.default_rng(7)
    rest = rng.standard_normal((64, 3))
    points = np.tile(rest * scale, (frames, 1, 1)) + 0.01 * np.random.default_rng(seed).standard_normal((frames, 64, 3))
    return np.concatenate([points, np.ones((frames, 64, 1))], axis=-1).astype(np.float32)


def test_limbs_are_the_distances_between_their_ends() -> None:
    body = body_of()
    found = features.limb_lengths(body)
    pairs = len(features.BONES) + 2 * 20
    assert found.shape == (2 * pairs,)
    shoulders = np.median(np.linalg.norm(body[:, 0, :3] - body[:, 1, :3], axis=1))
    assert found[0] == pytest.approx(shoulders, rel=1e-5)
    flat = np.median(np.linalg.norm(body[:, 0, :2] - body[:, 1, :2], axis=1))
    assert found[pairs] == pytest.approx(flat, rel=1e-5)
    assert np.allclose(features.limb_lengths(body_of(scale=2.0)), 2 * found, rtol=0.05)


def test_limbs_do_not_depend_on_where_somebody_is() -> None:
    body = body_of()
    moved = body.copy()
    moved[..., :3] += (3, -2, 1)
    assert np.allclose(features.limb_lengths(moved), features.limb_lengths(body), atol=1e-5)
    assert not np.allclose(features.posture_features(moved), features.posture_features(body))


def test_points_that_were_not_found_count_for_nothing() -> None:
    body = body_of()
    body[10:20, 4] = 0
    wanted = body[np.r_[0:10, 20:60], 4, :3].mean(axis=0)
    assert np.allclose(features.posture_features(body)[4 * 3 : 5 * 3], wanted, atol=1e-5)
    gone = body_of()
    gone[:, 22:] = 0
    assert np.isnan(features.posture_features(gone)[22 * 3 : 64 * 3]).all()
    assert features.posture_features(gone)[-2:].tolist() == [0, 0]
    assert np.isfinite(features.movement_features(gone, 25.0)).any()


@pytest.mark.parametrize(("hertz", "band"), [(0.4, 0), (1.0, 1), (2.0, 2), (4.0, 3)])
def test_what_sways_and_what_trembles_is_told_apart(hertz: float, band: int) -> None:
    t = np.arange(250) / 25
    power = features.band_powers(np.sin(2 * np.pi * hertz * t)[:, None], 25.0)
    assert power.argmax() == band
    assert np.allclose(features.band_powers(np.sin(2 * np.pi * hertz * np.arange(500) / 50)[:, None], 50.0), power, atol=1.0)


def test_a_voice_that_rises_is_told_from_one_that_falls() -> None:
    t = np.linspace(-1, 1, 300)
    rising = np.stack([4 * t, np.zeros(300), np.ones(300), np.full(300, 4.0)], axis=1)
    falling = rising * (-1, 1, 1, 1)
    up, down = (
        features.cosine_series(rising).reshape(features.COSINE_TERMS, 4),
        features.cosine_series(falling).reshape(features.COSINE_TERMS, 4),
    )
    assert up[0, 0] < -1
    assert np.allclose(up[:, 0], -down[:, 0])
    assert np.allclose(features.voice_statistics(rising)[0], features.voice_statistics(falling)[0])


def test_pauses_are_counted() -> None:
    voiced = np.ones(400)
    for at in (50, 150, 250):
        voiced[at : at + 20] = 0
    voice = np.stack([np.zeros(400), np.zeros(400), voiced, np.zeros(400)], axis=1)
    *_, share, _, breaks = features.voice_statistics(voice)
    assert share == pytest.approx(0.85)
    assert breaks == pytest.approx(3 / 4)


@given(st.integers(0, 40), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_short_and_empty_clips_have_rows_of_one_width(frames: int, seed: int) -> None:
    body, voice = body_of(max(frames, 1), seed=seed), np.random.default_rng(seed).standard_normal((frames, 4))
    usual = body_of(60)
    assert features.posture_features(body).shape == features.posture_features(usual).shape
    assert features.limb_lengths(body).shape == features.limb_lengths(usual).shape
    assert features.movement_features(body, 25.0).shape == features.movement_features(usual, 25.0).shape
    assert features.voice_statistics(voice).shape == features.voice_statistics(np.zeros((50, 4))).shape
    assert features.cosine_series(voice).shape == features.cosine_series(np.zeros((50, 4))).shape
    assert features.apply_filters(voice, features._draw_filters()[1]).shape == (
        2 * features.FILTERS_PER_STEP * len(features.FILTER_STEPS),
    )


def test_untrained_filters_are_always_the_same_and_see_each_shift_alike() -> None:
    filters = features._draw_filters()[1]
    assert all(np.array_equal(a, b) for a, b in zip(features._draw_filters(), features._draw_filters(), strict=True))
    curve = np.zeros((200, 4))
    curve[60:90, 0] = 3
    seen, shifted = features.apply_filters(curve, filters), features.apply_filters(np.roll(curve, 40, axis=0), filters)
    assert np.allclose(seen, shifted)
    assert not np.allclose(seen, features.apply_filters(-curve, filters))


def test_colours_of_cells() -> None:
    frames = np.zeros((2, 32, 32, 3), np.float32)
    frames[:, :8, :8, 0] = 1
    found = features.colour_features(frames)
    assert found[0] == pytest.approx(1)
    assert found[1:48].sum() == pytest.approx(0)
    assert found[48:96].sum() == pytest.approx(0)
    assert (found[96:] > 0).all()


def test_patches_are_cut_where_they_lie() -> None:
    frames = np.random.default_rng(0).random((2, 32, 32, 3))
    patches = features._split_patches(frames)
    assert patches.shape == (32, 192)
    assert np.array_equal(patches[5].reshape(8, 8, 3), frames[0, 8:16, 8:16])


def test_what_is_unknown_is_the_mean_of_the_others() -> None:
    table = features._fill_gaps(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]]))
    assert table.tolist() == [[1, 0], [3, 0], [2, 0]]
