"""Agreement: by hand, against the package krippendorff, as it has to behave whatever people mark, and its intervals."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.agreement import disputes
from deemo_data.agreement import measure as agreement_measure
from deemo_data.agreement.events import SAME_EVENT_LEVEL, Columns, Version, compare_versions, measure_columns, sum_up
from deemo_data.agreement.proposals import find_outcomes
from deemo_data.agreement.views import MarkedEvent, collect_views
from deemo_data.annotation.export_file import read_export
from deemo_data.annotation.pages import tasks
from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.labels.label import Label, PushRecord
from deemo_data.labels.store import read_labels
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.stats.figures import make_figure
from deemo_data.stats.krippendorff import count_coincidences, krippendorff_alpha, multilabel_alpha
from deemo_data.stats.matching import match_events, match_probability, temporal_ious
from deemo_data.stats.resampling import Resampling, bootstrap_interval, weighted_quantiles
from tests.makers.studies import (
    ANN,
    BEN,
    CLEO,
    EMOTIONS,
    GRID,
    NFBL,
    A,
    B,
    C,
    Said,
    Study,
    adjudicates,
    answer,
    clip_of,
    line_of,
    says,
)


def measure(
    labels: Sequence[Label], clips: Sequence[Clip], pushed: Sequence[PushRecord] = (), rounds: int = 50
) -> dict[str, Any]:
    return agreement_measure.measure_agreement(labels, clips, NFBL, EMOTIONS, pushed, rounds=rounds)


def class_of(measured: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in measured["classes"] if c["name"] == name)
    return found


def f1_of(row: dict[str, Any], least: str = "0.5") -> Any:
    return row["f1"][least]["value"]


def pair_of(one: Sequence[Said], other: Sequence[Said], frames: int = 250) -> Any:
    (seen,) = collect_views(says(clip_of(0, frames), ANN), [clip_of(0, frames)], NFBL)
    columns = Columns(NFBL)
    versions = [Version.of([MarkedEvent(*e) for e in events], seen, columns) for events in (one, other)]
    return compare_versions(0, (ANN, BEN), *versions, frames)


# By hand.


def test_f1_by_hand() -> None:
    """Two clips, twice: A in both (IoU 80/120, 1), B by Ann only, C by both with IoU 40/100."""
    labels, clips = [], [clip_of(n) for n in range(4)]
    for n in (0, 2):
        labels += says(clips[n], ANN, (0, 100, A), (150, 200, B)) + says(clips[n], BEN, (20, 120, A))
        labels += says(clips[n + 1], ANN, (0, 50, A), (100, 170, C)) + says(clips[n + 1], BEN, (0, 50, A), (130, 200, C))
    told = measure(labels, clips)
    assert [f1_of(told["overall"], t) for t in ("0.3", "0.5", "0.7")] == [
        pytest.approx(12 / 14, abs=1e-6), pytest.approx(8 / 14, abs=1e-6), pytest.approx(4 / 14, abs=1e-6)
    ]  # fmt: skip
    assert (f1_of(class_of(told, A), "0.5"), f1_of(class_of(told, A), "0.7")) == (1, 0.5)
    assert class_of(told, B)["f1"]["0.5"] == {"value": None, "low": None, "high": None, "chance": None, "n": 2, "unit": "events",
                                              "why": "2 events: too few"}  # fmt: skip
    assert told["counts"]["events"] == told["overall"]["events"] == 14
    assert told["edges"]["start"]["median_ms"]["value"] is None, "four matched events are too few"


def test_edges_are_in_milliseconds_and_apart() -> None:
    labels, clips = [], [clip_of(n) for n in range(6)]
    for n, clip in enumerate(clips):
        labels += says(clip, ANN, (10, 110, A)) + says(clip, BEN, (10 + n, 120, A))
    edges = measure(labels, clips)["edges"]
    assert (edges["start"]["median_ms"]["value"], edges["start"]["p90_ms"]["value"]) == (80, 200)
    assert (edges["end"]["median_ms"]["value"], edges["end"]["p90_ms"]["value"]) == (400, 400)
    assert dict(map(tuple, edges["start"]["within"]))[100] == pytest.approx(0.5)
    (row,) = edges["by_class"]
    assert (row["name"], row["n"], row["start_median_ms"], row["end_p90_ms"]) == (A, 6, 80, 400)


def test_alpha_over_time_by_hand() -> None:
    """10 s in steps of 100 ms: one says 0-5 s, the other 0-4 s: 40 steps both, 10 one, 50 none; twice."""
    clips = [clip_of(n) for n in range(6)]
    labels = [lb for c in clips for lb in says(c, ANN, (0, 125, A)) + says(c, BEN, (0, 100, A))]
    data = [[1] * 50 + [0] * 50, [1] * 40 + [0] * 60]
    wanted = krippendorff.alpha(np.tile(data, 6), level_of_measurement="nominal")
    assert class_of(measure(labels, clips), A)["alpha"]["value"] == pytest.approx(wanted, abs=1e-6)


def test_three_people_some_of_whom_did_not_look() -> None:
    clips = [clip_of(n) for n in range(6)]
    labels, data = [], np.full((3, 600), np.nan)
    spans = {ANN: (0, 100), BEN: (25, 100), CLEO: (0, 50)}
    for n, clip in enumerate(clips):
        for row, (who, (start, end)) in enumerate(spans.items()):
            if (n + row) % 3:
                labels += says(clip, who, (start, end, A))
                data[row, 100 * n : 100 * n + 100] = 0
                data[row, 100 * n + start * 100 // 250 : 100 * n + end * 100 // 250] = 1
    told = measure(labels, clips)
    wanted = krippendorff.alpha(data, level_of_measurement="nominal")
    assert class_of(told, A)["alpha"]["value"] == pytest.approx(wanted, abs=1e-6)
    assert told["counts"]["seen_by_more"] == 6
    assert {tuple(p["between"]): p["clips"] for p in told["pairs"]} == {(ANN, BEN): 2, (ANN, CLEO): 2, (BEN, CLEO): 2}


def test_an_empty_annotation_says_that_nothing_happens() -> None:
    clips = [clip_of(n) for n in range(6)]
    one = [lb for c in clips for lb in says(c, ANN, (0, 100, A))]
    assert measure(one, clips)["counts"]["seen_by_more"] == 0
    told = measure([*one, *(lb for c in clips for lb in says(c, BEN))], clips)
    assert (f1_of(told["overall"]), told["counts"]["empty"]) == (0, 6)
    both = measure([lb for c in clips for who in (ANN, BEN) for lb in says(c, who)], clips)
    assert (f1_of(both["overall"]), both["overall"]["f1"]["0.5"]["why"]) == (None, "no events")


def test_a_clip_that_one_person_saw_counts_for_nothing() -> None:
    clips = [clip_of(n) for n in range(7)]
    labels = [lb for c in clips[:6] for who in (ANN, BEN) for lb in says(c, who, (0, 100, A))]
    assert f1_of(measure([*labels, *says(clips[6], ANN, (0, 100, B))], clips)["overall"]) == 1


def test_what_was_handed_in_twice_counts_as_it_was_last() -> None:
    clips = [clip_of(n) for n in range(6)]
    labels = []
    for c in clips:
        labels += says(c, ANN, (0, 100, A), unique_id="1", updated_at="2026-01-01") + says(
            c, ANN, unique_id="2", updated_at="2026-01-02"
        )
        labels += says(c, BEN)
    told = measure(labels, clips)
    assert told["overall"]["events"] == 0


def test_another_class_at_the_same_time_is_confusion() -> None:
    clips = [clip_of(n) for n in range(6)]
    labels = [lb for c in clips for lb in says(c, ANN, (0, 100, A), (200, 240, C)) + says(c, BEN, (0, 100, B))]
    told = measure(labels, clips)
    names, counts = told["confusion"]["classes"], told["confusion"]["counts"]
    rows = {name: dict(zip([*names, "nothing"], row, strict=True)) for name, row in zip(names, counts, strict=True)}
    assert (rows[A][B], rows[B][A], rows[C]["nothing"], rows[A]["nothing"], rows[A][A]) == (6, 6, 6, 0, 0)
    assert (f1_of(told["overall"]), f1_of(told["any"])) == (0, pytest.approx(2 / 3, abs=1e-6))


def test_certainty() -> None:
    clips = [clip_of(n) for n in range(6)]
    labels = []
    for c in clips:
        labels += says(c, ANN, (0, 100, A), certainty="sure") + says(c, BEN, (0, 90, A), certainty="sure")
        labels += says(c, CLEO, (150, 200, B), certainty="guess")
    shares = {c["said"]: c["confirmed"] for c in measure(labels, clips)["certainty"]}
    assert (shares["sure"]["value"], shares["sure"]["n"]) == (0.5, 24)
    assert shares["guess"]["value"] == 0
    assert (shares["unsure"]["value"], shares[None]["why"]) == (None, "no comparisons")


def test_the_adjudicated_version_is_beside_and_not_among() -> None:
    clips = [clip_of(n) for n in range(6)]
    labels = [lb for c in clips for lb in says(c, ANN, (0, 100, A)) + says(c, BEN, (0, 100, B))]
    before = measure(labels, clips)
    told = measure([*labels, *(lb for c in clips for lb in adjudicates(c, CLEO, (0, 100, A)))], clips)
    assert before["overall"] == told["overall"]
    scores = {a["name"]: f1_of(a["adjudicated"]) for a in told["annotators"]}
    assert scores == {ANN: 1, BEN: 0}
    assert told["counts"]["adjudicated"] == 6
    assert told["disputed"][0]["adjudicated"] == [
        {"start_ms": 0, "end_ms": 4000, "label": A, "group": "self-protective", "certainty": None}
    ]


def test_who_labelled_a_clip_adds_nothing_by_adjudicating_it() -> None:
    clips = [clip_of(n) for n in range(6)]
    labels = [lb for c in clips for lb in says(c, ANN, (0, 100, A)) + says(c, BEN, (0, 100, A))]
    told = measure([*labels, *(lb for c in clips for lb in adjudicates(c, BEN, (150, 200, B)))], clips)
    assert (f1_of(told["overall"]), told["counts"]["adjudicated"], told["counts"]["events"]) == (1, 0, 12)


# Against krippendorff.

RELIABILITY = st.integers(2, 5).flatmap(
    lambda people: st.integers(1, 12).flatmap(
        lambda units: st.lists(
            st.lists(st.sampled_from([math.nan, 1, 2, 3, 5]), min_size=units, max_size=units), min_size=people, max_size=people
        )
    )
)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@given(data=RELIABILITY)
def test_alpha_is_that_of_krippendorff(level: Any, data: list[list[float]]) -> None:
    values = np.array(data)
    domain = np.unique(values[~np.isnan(values)])
    counts = np.stack([(values == v).sum(axis=0) for v in domain], axis=1) if len(domain) else np.zeros((values.shape[1], 0))
    ours = float(krippendorff_alpha(count_coincidences(counts).sum(axis=0), level, domain))
    pairable = values[:, (~np.isnan(values)).sum(axis=0) > 1]
    if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        assert math.isnan(ours), "without variation there is no alpha"
    else:
        assert ours == pytest.approx(krippendorff.alpha(values, level_of_measurement=level), abs=1e-9)


@given(
    data=st.integers(2, 4).flatmap(
        lambda people: st.lists(
            st.lists(st.frozensets(st.sampled_from("abc")), min_size=people, max_size=people), min_size=2, max_size=10
        )
    )
)
def test_alpha_of_sets_is_that_of_krippendorff_with_our_distance(data: list[list[frozenset[str]]]) -> None:
    domain = sorted({s for unit in data for s in unit}, key=sorted)
    people = len(data[0])
    counts = np.array([[sum(name in s for s in unit) for name in "abc"] for unit in data])
    ours = float(
        multilabel_alpha((counts * (people - counts) / (people - 1)).sum(0), counts.sum(0), np.array(people * len(data)))
    )
    if len(domain) < 2:
        assert math.isnan(ours)
        return
    apart = np.array([[len(x ^ y) for y in domain] for x in domain])
    reliability = np.array([[domain.index(s) for s in unit] for unit in data]).T
    theirs = krippendorff.alpha(
        reliability, value_domain=list(range(len(domain))), level_of_measurement=lambda v1, v2, **_: apart[v1, v2]
    )
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_the_grid_as_a_whole_is_that_of_krippendorff() -> None:
    study = Study(8, 3, classes=4, seed=5)
    told = study.measured(rounds=10)
    data = {name: np.zeros((3, 800)) for name in study.names}
    for lb in study.labels:
        if lb.kind == "nfbl":
            number, row = int(lb.clip[2:]), study.people.index(lb.annotator)
            start, end = ((ms - 40_000 * number) / 1000 for ms in (lb.start_ms, lb.end_ms))
            middles = np.arange(100) / 10 + 0.05
            data[lb.value["label"]][row, 100 * number : 100 * number + 100][
                (middles >= start - 1e-9) & (middles < end - 1e-9)
            ] = 1
    for name in study.names:
        theirs = krippendorff.alpha(data[name], level_of_measurement="nominal")
        assert class_of(told, name)["alpha"]["value"] == pytest.approx(theirs, abs=1e-6), name


# As it has to be, whatever people mark.

EVENTS = st.lists(
    st.tuples(st.integers(0, 249), st.integers(1, 80), st.sampled_from([A, B, C])).map(
        lambda e: (e[0], min(e[0] + e[1], 250), e[2])
    ),
    max_size=8,
)


@given(one=EVENTS, other=EVENTS)
def test_f1_is_the_same_both_ways_and_between_0_and_1(one: list[Said], other: list[Said]) -> None:
    here, there = pair_of(one, other), pair_of(other, one)
    assert (here.matched == there.matched).all()
    assert (here.marked == there.marked).all()
    assert np.allclose(here.chance, there.chance)
    assert (2 * here.matched <= here.marked).all()
    assert (2 * here.chance <= here.marked + 1e-9).all()
    assert (np.diff(here.matched, axis=0) <= 0).all(), "a stricter IoU matches no more"


@given(one=EVENTS, seed=st.integers(0, 5))
def test_f1_with_oneself_is_1_in_any_order(one: list[Said], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(one))
    pair = pair_of(one, [one[k] for k in order])
    assert (2 * pair.matched == pair.marked).all()
    assert not pair.disagreements.any()


@given(
    overlap=st.integers(1, 4).flatmap(
        lambda n: st.integers(1, 4).flatmap(
            lambda m: st.lists(
                st.lists(st.sampled_from([0, 0.2, 0.4, 0.55, 0.9]), min_size=m, max_size=m), min_size=n, max_size=n
            )
        )
    )
)
def test_matching_is_the_largest_and_then_the_closest(overlap: list[list[float]]) -> None:
    values = np.array(overlap)
    rows, columns = match_events(values, np.ones(values.shape, bool), 0.4)
    best = (0, 0.0)
    wide = values if values.shape[0] <= values.shape[1] else values.T
    for chosen in permutations(range(wide.shape[1]), wide.shape[0]):
        kept = [wide[r, c] for r, c in enumerate(chosen) if wide[r, c] >= 0.4]
        best = max(best, (len(kept), sum(kept)))
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows) == best[0]
    assert values[rows, columns].sum() == pytest.approx(best[1])


@given(a=st.integers(1, 30), b=st.integers(1, 30), extra=st.integers(0, 25), least=st.sampled_from([0.3, 0.5, 0.7]))
def test_chance_is_the_mean_over_all_shifts(a: int, b: int, extra: int, least: float) -> None:
    length = max(a, b) + extra
    one = np.arange(length) < a
    hits = 0
    for shift in range(length):
        other = np.roll(np.arange(length) < b, shift)
        hits += (one & other).sum() / (one | other).sum() >= least
    assert match_probability(np.array([a]), np.array([b]), length, least)[0, 0] == pytest.approx(hits / length)


@settings(max_examples=25)
@given(shift=st.integers(0, 5000), fps=st.sampled_from(["24000/1001", "25", "30000/1001", "50"]), seed=st.integers(0, 3))
def test_it_does_not_matter_where_on_its_source_a_clip_lies(shift: int, fps: str, seed: int) -> None:
    study = Study(3, 3, classes=5, seed=seed)
    grid = replace(GRID, fps=Fraction(fps))
    told = []
    for move in (0, shift):
        clips = {c.id: replace(c, start_ms=grid.ms_at(1000 * n + move), end_ms=grid.ms_at(1000 * n + move + 250),
                               facts=c.facts | {"grid": grid.to_fact()}) for n, c in enumerate(study.clips)}  # fmt: skip
        labels = []
        for lb in study.labels:
            if lb.kind == "seen":
                labels.append(replace(lb, start_ms=clips[lb.clip].start_ms, end_ms=clips[lb.clip].end_ms))
            else:
                frames = (GRID.frame_at(ms) + move for ms in (lb.start_ms, lb.end_ms))
                labels.append(replace(lb, **dict(zip(("start_ms", "end_ms"), map(grid.ms_at, frames), strict=True))))
        told.append(measure(labels, list(clips.values()), rounds=0))
    for row in ("overall", "any", "edges", "confusion", "pairs"):
        assert told[0][row] == told[1][row]


def test_the_order_of_labels_and_clips_does_not_matter() -> None:
    study = Study(12, 3, proposed=0.5, seed=1)
    order = np.random.default_rng(0).permutation(len(study.labels))
    mixed = [study.labels[k] for k in order]
    assert measure(mixed, study.clips[::-1], study.pushed[::-1]) == measure(study.labels, study.clips, study.pushed)


def test_people_who_guess_agree_as_chance_says() -> None:
    """Nobody looks: everybody marks events at random times. Alpha is about 0, and F1 about what shifting gives."""
    study = Study(1, 4, classes=3, each=0, frames=40_000)
    study.labels = [
        lb for who in study.people for lb in says(study.clips[0], who, *(study.event() for _ in range(600)))
    ]  # fmt: skip
    seen = collect_views(study.labels, study.clips, NFBL)
    sums = sum_up(seen, Columns(NFBL))
    told = measure_columns(sums, Resampling.of(["x"], 0, 0), range(32))
    assert told["alpha"]["why"] == "1035 events, all of one clip or subject: too few" or told["alpha"]["value"] is None
    every = slice(0, 32)
    value = multilabel_alpha(sums.disagreements[0, every], sums.present[0, every], sums.opportunities[0])
    shifted = multilabel_alpha(sums.chance_disagreements[0, every], sums.present[0, every], sums.opportunities[0])
    assert abs(float(value)) < 0.03
    assert abs(float(shifted)) < 0.01
    matched, chance = sums.matched[0, SAME_EVENT_LEVEL, every].sum(), sums.chance[0, SAME_EVENT_LEVEL, every].sum()
    assert matched == pytest.approx(chance, rel=0.15)


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=6), share=st.sampled_from([0.5, 0.9]))
def test_weighted_quantiles(counts: list[int], share: float) -> None:
    values = np.arange(len(counts)) * 10
    (found,) = weighted_quantiles(values, np.array([counts]), [share])[0]
    if sum(counts):
        assert found == np.quantile(np.repeat(values, counts), share, method="inverted_cdf")
    else:
        assert math.isnan(found)


def test_overlap_of_spans() -> None:
    assert temporal_ious(np.array([[0, 10]]), np.array([[0, 10], [5, 15], [10, 20], [2, 4]])).tolist() == [
        [1, pytest.approx(1 / 3), 0, 0.2]
    ]


# Intervals.


def coverage(units: int, studies: int, rounds: int, seed: int = 0) -> float:
    """How often the interval of a share holds the truth. A unit holds several events, alike within it."""
    rng = np.random.default_rng(seed)
    held = 0
    for number in range(studies):
        share = rng.beta(3, 2, units)
        tried = rng.poisson(6, units) + 1
        hits = rng.binomial(tried, share)
        drawn = Resampling.of([f"s-{u}" for u in range(units)], rounds, number)
        ends = bootstrap_interval((drawn.total(hits) / drawn.total(tried))[1:], units)
        held += ends is not None and ends[0] <= 0.6 <= ends[1]
    return held / studies


@pytest.mark.parametrize("units", [8, 30])
def test_intervals_hold_the_truth_nearly_as_often_as_they_say(units: int) -> None:
    assert 0.91 <= coverage(units, 400, 300) <= 0.985


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("clips", "per_subject"), [(25, 1), (60, 4)])
def test_intervals_of_whole_studies_hold_the_truth(clips: int, per_subject: int) -> None:
    """Three annotators, six classes: the interval of F1 and of alpha against what very many clips give."""
    often = {"classes": 6, "each": 5, "per_subject": per_subject}
    truth = Study(2000, 3, seed=999, **often).measured(rounds=0)["overall"]  # type: ignore[arg-type]
    held = {"f1": 0, "alpha": 0}
    for seed in range(200):
        told = Study(clips, 3, seed=seed, **often).measured(rounds=400)["overall"]  # type: ignore[arg-type]
        for name in held:
            got, wanted = (told["f1"]["0.5"], truth["f1"]["0.5"]) if name == "f1" else (told["alpha"], truth["alpha"])
            held[name] += got["low"] <= wanted["value"] <= got["high"]
    assert all(180 <= n <= 199 for n in held.values()), held


def test_subjects_are_resampled_when_there_are_enough() -> None:
    few, many = Study(20, 2, per_subject=4).measured(rounds=5), Study(40, 2, per_subject=4).measured(rounds=5)
    assert (few["resampled"], many["resampled"]) == ({"by": "clips", "n": 20}, {"by": "subjects", "n": 10})


def test_a_figure_that_would_be_an_anecdote_is_none() -> None:
    values = np.array([0.5, 0.4, 0.6])
    assert make_figure(values, 4, "events", 3)["why"] == "4 events: too few"
    assert make_figure(values, 9, "events", 1)["why"] == "9 events, all of one clip or subject: too few"
    assert make_figure(np.array([math.nan] * 3), 9, "events", 9)["value"] is None
    assert make_figure(values, 9, "events", 3) | {"why": ""} == {
        "value": 0.5, "low": None, "high": None, "chance": None, "n": 9, "unit": "events", "why": ""
    }  # fmt: skip
    assert bootstrap_interval(np.array([math.nan] * 20 + [0.5] * 80), 20) is None, "undefined in too many rounds"


@pytest.mark.parametrize("clips", [0, 1, 2, 30])
@pytest.mark.parametrize("people", [0, 1, 2])
def test_everything_is_json_without_nan(clips: int, people: int) -> None:
    told = Study(clips, people, each=1, proposed=0.5).measured(rounds=20)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_how_long_it_takes() -> None:
    """50 clips, 5 annotators, 32 classes, 1,000 rounds. Five seconds are meant; the bound is for slow machines."""
    study = Study(50, 5, each=12, proposed=0.8)
    begun = time.process_time()
    told = study.measured(rounds=1000)
    took = time.process_time() - begun
    assert told["overall"]["f1"]["0.5"]["low"] is not None
    assert took < 30, "by the clock of the processor"


# Proposals.


def test_what_became_of_proposals() -> None:
    """Seeded edits: each proposal's fate is known."""
    clip = clip_of(3)
    line = line_of(clip, (0, 20, A), (30, 50, A), (60, 80, B), (90, 110, B), (120, 140, C), (150, 170, C))
    labels = says(
        clip, ANN, (0, 20, A), (33, 48, A), (60, 80, C), (122, 141, C), (200, 220, B),
        ids=["p-0", "p-1", "p-2", "fresh-1", "fresh-2"],
    )  # fmt: skip
    found = find_outcomes(labels, [line], NFBL)
    assert [(f.label, f.kind, f.start, f.end, f.changed_class) for f in found] == [
        (A, "accepted", 0, 0, False),
        (A, "corrected", 3, -2, False),
        (B, "corrected", 0, 0, True),
        (B, "removed", 0, 0, False),
        (C, "corrected", 2, 1, False),  # another id, the same class and place
        (C, "removed", 0, 0, False),
        (B, "added", 0, 0, False),
    ]


def test_origin_says_nothing() -> None:
    clip = clip_of(0)
    labels = says(clip, ANN, (0, 20, A), (50, 70, B), ids=["p-0"])
    for lb, origin in zip(labels[1:], ("manual", "prediction"), strict=True):
        lb.raw["results"][0]["origin"] = origin  # both are lies
    assert [f.kind for f in find_outcomes(labels, [line_of(clip, (0, 20, A))], NFBL)] == ["accepted", "added"]


def test_of_a_region_with_several_ranges_one_is_the_proposal() -> None:
    clip = clip_of(0)
    labels = says(clip, ANN, (50, 70, A), (1, 20, A), ids=["p-0", "p-0"])
    found = find_outcomes(labels, [line_of(clip, (0, 20, A))], NFBL)
    assert [(f.kind, f.start) for f in found] == [("corrected", 1), ("added", 0)]


@pytest.mark.parametrize("fps", ["24000/1001", "25", "30000/1001", "50", "60000/1001"])
def test_an_untouched_proposal_is_accepted_at_any_rate(fps: str) -> None:
    grid = replace(GRID, fps=Fraction(fps))
    clip = clip_of(7, 251, grid=grid)
    line = line_of(clip, *((k, k + 1 + k % 9, A) for k in range(0, 240, 7)))
    labels = says(clip, ANN, *((k, k + 1 + k % 9, A) for k in range(0, 240, 7)), ids=[p["id"] for p in line.proposals or ()])
    assert {f.kind for f in find_outcomes(labels, [line], NFBL)} == {"accepted"}


def test_who_saw_it_and_kept_nothing_removed_it_and_who_never_saw_it_did_not() -> None:
    clip, other = clip_of(0), clip_of(1)
    lines = [line_of(clip, (0, 20, A)), line_of(other, (0, 20, A))]
    assert [(f.annotator, f.kind) for f in find_outcomes([*says(clip, ANN), *says(other, BEN, (0, 20, A))], lines, NFBL)] == [
        (ANN, "removed"), (BEN, "accepted")
    ]  # fmt: skip
    assert find_outcomes(says(clip, ANN, (0, 20, A)), [line_of(clip, shown=False)], NFBL) == [], (
        "the control share proposes nothing"
    )
    assert find_outcomes(adjudicates(clip, CLEO, (0, 20, A)), lines[:1], NFBL) == []


def test_with_and_without_proposals() -> None:
    """With drafts both agree always, without never."""
    labels, pushed, clips = [], [], [clip_of(n) for n in range(24)]
    for n, clip in enumerate(clips):
        pushed.append(line_of(clip, (0, 100, A), shown=n % 2 == 0))
        labels += says(clip, ANN, (0, 100, A), ids=["p-0"], lead_time=10.0)
        labels += says(clip, BEN, (0, 100, A) if n % 2 == 0 else (150, 250, A), ids=["p-0"], lead_time=30.0 if n % 2 else 12.0)
    told = measure(labels, clips, pushed)["proposals"]
    assert (told["effect"]["with"]["f1"]["value"], told["effect"]["without"]["f1"]["value"]) == (1, 0)
    assert told["effect"]["difference"]["f1"] == {"value": 1, "low": 1, "high": 1, "why": None}
    assert (told["effect"]["with"]["lead_time_s"], told["effect"]["without"]["lead_time_s"]) == (11, 20)
    assert (told["overall"]["accepted"], told["overall"]["proposed"], told["overall"]["added"]) == (24, 24, 0)
    one = measure(labels, clips, [replace(p, proposals=[]) for p in pushed])["proposals"]["effect"]
    assert one["difference"]["f1"]["value"] is None
    assert "without proposals" in one["difference"]["f1"]["why"]


def question(told: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(q for q in told["choices"] if q["name"] == name)
    return found


def test_choices() -> None:
    clips = [clip_of(n) for n in range(6)]
    ann = ["happy", "sad", "sad", "happy", "neutral", "happy"]
    ben = ["happy", "sad", "happy", "happy", "neutral", "sad"]
    steps = ([1, 1, 2, 3, 3, 2], [1, 2, 2, 3, 2, 1])
    labels = []
    for n, clip in enumerate(clips):
        labels += [answer(clip, ANN, "emotion", ann[n]), answer(clip, BEN, "emotion", ben[n])]
        for who, said in ((ANN, steps[0]), (BEN, steps[1])):
            said_of = {"name": "intensity", "choices": [("weak", "clear", "strong")[said[n] - 1]]}
            labels.append(answer(clip, who, "choice", said_of))
            labels.append(answer(clip, who, "rating", {"name": "stars", "rating": said[n]}))
        labels.append(answer(clip, ANN, "emotion_words", ["glad", "tired"]))
        labels.append(answer(clip, BEN, "emotion_words", ["glad"] if n % 2 else ["glad", "tired"]))
        labels.append(answer(clip, ANN, "sentiment", "positive"))
    told = measure(labels, clips)
    emotion = question(told, "emotion")
    codes = [[["happy", "sad", "neutral"].index(v) for v in row] for row in (ann, ben)]
    assert emotion["raw"]["value"] == pytest.approx(4 / 6, abs=1e-6)
    assert emotion["alpha"]["value"] == pytest.approx(krippendorff.alpha(codes, level_of_measurement="nominal"), abs=1e-6)
    for name in ("intensity", "stars"):
        wanted = krippendorff.alpha(steps, level_of_measurement="ordinal")
        assert (question(told, name)["level"], question(told, name)["alpha"]["value"]) == (
            "ordinal",
            pytest.approx(wanted, abs=1e-6),
        )
    assert (question(told, "emotion_words")["level"], question(told, "emotion_words")["raw"]["value"]) == ("several", 0.75)
    assert question(told, "sentiment")["raw"]["why"] == "no clips", "one person answered"


def test_of_two_answers_of_one_person_the_later_counts() -> None:
    clips = [clip_of(n) for n in range(6)]
    labels = [answer(c, BEN, "emotion", "happy") for c in clips]
    for value, when in (("happy", "2026-01-02"), ("sad", "2026-01-01")):
        labels += [replace(answer(c, ANN, "emotion", value), raw={"annotation": {"updated_at": when}}) for c in clips]
    assert question(measure(labels, clips), "emotion")["raw"]["value"] == 1


def test_an_emotion_that_the_vocabulary_does_not_know_is_no_answer() -> None:
    clips = [clip_of(n) for n in range(6)]
    told = measure([answer(c, who, "emotion", "hangry") for c in clips for who in (ANN, BEN)], clips)
    assert told["choices"] == []


# Disputes.


def dispute_of(*labels: list[Label], clip: Clip) -> disputes.Dispute | None:
    return disputes.find_dispute([lb for them in labels for lb in them], clip, NFBL)


def test_what_all_agree_on_is_no_dispute() -> None:
    clip = clip_of(0)
    assert dispute_of(says(clip, ANN, (0, 100, A)), clip=clip) is None, "one person"
    assert dispute_of(says(clip, ANN), says(clip, BEN), clip=clip) is None, "nothing happens, both say"
    assert dispute_of(says(clip, ANN, (0, 100, A)), says(clip, BEN, (10, 96, A)), clip=clip) is None
    three = [says(clip, who, (k, 100, A)) for k, who in enumerate((ANN, BEN, CLEO))]
    assert dispute_of(*three, clip=clip) is None


@pytest.mark.parametrize(
    ("event", "agreed"),
    [((0, 100, B), 0), ((0, 40, A), 0), ((13, 100, A), 0), ((12, 100, A), None), (None, 0)],
    ids=["another class", "little overlap", "an edge 520 ms off", "an edge 480 ms off", "nothing"],
)
def test_what_is_a_dispute(event: Said | None, agreed: int | None) -> None:
    clip = clip_of(0)
    found = dispute_of(says(clip, ANN, (0, 100, A)), says(clip, BEN, *([event] if event else [])), clip=clip)
    assert (None if found is None else len(found.agreed_events)) == agreed


def test_a_dispute_holds_what_is_agreed_and_every_version() -> None:
    clip = clip_of(0)
    found = dispute_of(says(clip, ANN, (0, 100, A), (150, 200, B)), says(clip, BEN, (10, 110, A)), clip=clip)
    assert found is not None
    assert found.agreed_events == (MarkedEvent(5, 105, A),)
    takes = {t.annotator: t for t in found.versions}
    assert takes[ANN].events == (MarkedEvent(0, 100, A), MarkedEvent(150, 200, B))
    assert takes[BEN].events == (MarkedEvent(10, 110, A),)
    assert [t.letter for t in found.versions] == ["a", "b"]
    shown = tasks.regions_of_dispute(found)
    assert [(r["from_name"], r["value"]["ranges"][0], r.get("readonly")) for r in shown if r["from_name"] == "nfbl"] == [
        ("nfbl", {"start": 6, "end": 105}, None)
    ]
    locked = [r for r in shown if r["from_name"] != "nfbl"]
    assert {r["from_name"] for r in locked} == {"ann_a", "ann_b"}
    assert all(r["readonly"] and r["type"] == "timelinelabels" for r in locked)
    assert len({r["id"] for r in shown}) == len(shown) == 4
    assert ANN not in json.dumps(shown)
    assert {r["from_name"] for r in tasks.regions_of_dispute(found, max_versions=1)} == {"nfbl", "ann_a"}


def test_letters_are_the_same_every_time_and_do_not_say_who() -> None:
    letters = []
    for n in range(40):
        clip = clip_of(n)
        said = [says(clip, ANN, (0, 100, A)), says(clip, BEN)]
        found, again = dispute_of(*said, clip=clip), dispute_of(*reversed(said), clip=clip)
        assert found == again
        letters += [t.letter for t in found.versions if t.annotator == ANN] if found else []
    assert 8 < letters.count("a") < 32, "Ann is not always the same letter"


def test_adjudicators_have_no_part_in_a_dispute() -> None:
    clip = clip_of(0)
    said = [says(clip, ANN, (0, 100, A)), says(clip, BEN, (0, 100, A)), adjudicates(clip, CLEO, (0, 100, B))]
    assert dispute_of(*said, clip=clip) is None


# Of real exports.


def test_two_real_annotators(tmp_path: Path, media: Path) -> None:
    names = ("brow_raise", "head_shake", "nod")
    classes = tuple(replace(NFBL.classes[k], id=k, name=name, group="g", aliases=()) for k, name in enumerate(names))
    vocabulary = Nfbl("theirs", "1", "", {"g": "All"}, classes)
    source = Clip("abc123", "abc123", 0, 12000, {"source": File("/footage/clip_1.mp4", "0" * 64)}, {"grid": GRID.to_fact()})
    (tmp_path / "match.csv").write_text("name,source\n1,clip_1.mp4\n")
    read_export(media / "label_studio/export_two_annotators.json", tmp_path / "labels", secret=b"k" * 32, vocabulary=vocabulary,
                emotions=EMOTIONS, sources=[source], match=tmp_path / "match.csv")  # fmt: skip
    labels = read_labels(tmp_path / "labels")
    public = replace(source, source=labels[0].source, id=labels[0].source)
    told = agreement_measure.measure_agreement(labels, [public], vocabulary, EMOTIONS, [])
    assert (told["counts"]["annotators"], told["counts"]["seen_by_more"]) == (2, 1)
    assert told["counts"]["events"] == sum(lb.kind == "nfbl" for lb in labels)
    assert told["overall"]["f1"]["0.5"]["value"] is None, "one clip is an anecdote"
    assert (
        told["any"]["f1"]["0.5"]["why"] == told["overall"]["f1"]["0.5"]["why"] == "4 events, all of one clip or subject: too few"
    )
    assert disputes.find_dispute(labels, public, vocabulary) is None, "their edges are at most 240 ms apart"
    later = [replace(lb, end_ms=lb.end_ms + 300) if lb.kind == "nfbl" and lb == labels[0] else lb for lb in labels]
    assert disputes.find_dispute(later, public, vocabulary) is not None
