import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from feat2go.clustering import Trend, Uniform
from feat2go.progress import read_labels
from feat2go.progress.audit import Constant, Given, Reversed, Sample, Shuffled, StepsToGo, Structural, audit
from feat2go.progress.audit.files import write_audit

NAMED = [
    "voc",
    "pair_accuracy",
    "boundary_precision",
    "boundary_recall",
    "boundary_f1",
    "boundary_f1_uniform",
    "milestone_spread",
    "elapsed_spread",
]


def sample(uid, lengths, task="task"):
    """An episode of straight ways through feature space, each of ``lengths`` frames; a milestone where one begins."""
    corners = torch.randn(len(lengths) + 1, 6, 8, generator=torch.Generator().manual_seed(0))
    parts = [
        corners[k] + (corners[k + 1] - corners[k]) * torch.arange(length)[:, None, None] / length
        for k, length in enumerate(lengths)
    ]
    starts = np.cumsum(lengths)[:-1]
    return Sample(uid, task, torch.cat(parts).half(), {f"m{k}": int(start) for k, start in enumerate(starts)})


SAMPLES = [sample("a", [8, 8, 8]), sample("b", [5, 14, 8]), sample("c", [12, 6, 9])]
CUTTERS = {"uniform": Uniform}


@pytest.fixture(scope="module")
def found():
    methods = {
        "trend": Structural(Trend()),
        "three": Structural(Uniform(3)),
        "steps_to_go": StepsToGo(),
        "constant": Constant(),
        "shuffled": Shuffled(StepsToGo()),
        "reversed": Reversed(StepsToGo()),
    }
    return audit(SAMPLES, methods, CUTTERS, num_resamples=50)


def test_every_method_has_the_named_metrics_with_intervals(found):
    for own in found.estimates.values():
        for name in NAMED:
            assert own[name].low <= own[name].mean <= own[name].high


def test_controls_score_as_they_must(found):
    means = {method: {name: own[name].mean for name in NAMED} for method, own in found.estimates.items()}
    assert means["steps_to_go"]["voc"] == means["steps_to_go"]["pair_accuracy"] == 1
    assert means["steps_to_go"]["milestone_spread"] == means["steps_to_go"]["elapsed_spread"]
    assert means["constant"]["voc"] == means["constant"]["milestone_spread"] == 0
    assert means["constant"]["pair_accuracy"] == 0.5
    assert means["reversed"]["voc"] == -1
    assert abs(means["shuffled"]["voc"]) < 0.6
    assert found.estimates["steps_to_go"]["boundary_f1"].mean == 0


def test_hand_worked_boundaries(found):
    # Uniform thirds of 24, 27 and 27 frames are at 8 16, 9 18, 9 18; milestones at 8 16, 5 19, 12 18.
    own = found.estimates["three"]
    assert own["boundary_f1"].mean == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert own["boundary_f1_uniform"].mean == own["boundary_f1"].mean
    assert own["boundary_f1_at_5"].mean == 1
    assert own["stage_count_error"].mean == 0
    elapsed = np.array([[8 / 23, 16 / 23], [5 / 26, 19 / 26], [12 / 26, 18 / 26]])
    assert own["elapsed_spread"].mean == pytest.approx(elapsed.std(axis=0, ddof=1).mean(), rel=1e-6)


def test_differences_are_of_the_first_method(found):
    assert "trend" not in found.differences
    difference = found.differences["constant"]["voc"]
    assert difference.mean == pytest.approx(found.estimates["trend"]["voc"].mean)


def test_given_values_are_taken_as_they_are():
    values = {own.uid: np.linspace(0.2, 0.8, len(own)) for own in SAMPLES}
    own = audit(SAMPLES, {"value": Given(values)}, CUTTERS, num_resamples=20).estimates["value"]
    assert own["voc"].mean == 1
    assert own["voc_reversed"].mean == -1


def test_failed_episodes_are_told_apart():
    cut = [Sample(f"{own.uid} failed", own.task, own.features[: len(own) // 2]) for own in SAMPLES]
    own = audit(SAMPLES, {"steps_to_go": StepsToGo()}, CUTTERS, failed=cut, num_resamples=20).estimates["steps_to_go"]
    assert own["failed_auroc"].mean == 1


def test_episodes_without_milestones_are_ordered_all_the_same():
    plain = [Sample(own.uid, own.task, own.features) for own in SAMPLES]
    own = audit(plain, {"trend": Structural(Trend())}, CUTTERS, num_resamples=20).estimates["trend"]
    assert "boundary_f1" not in own
    assert np.isnan(own["milestone_spread"].mean)
    assert own["voc"].mean > 0.5


def test_tasks_have_their_own_spread():
    both = SAMPLES + [sample(f"{uid}2", [4, 20, 4], task="other") for uid in "abc"]
    own = audit(both, {"steps_to_go": StepsToGo()}, CUTTERS, num_resamples=20).estimates["steps_to_go"]
    alone = audit(SAMPLES, {"steps_to_go": StepsToGo()}, CUTTERS, num_resamples=20).estimates["steps_to_go"]
    # The other task's episodes are all alike.
    assert own["milestone_spread"].mean == pytest.approx(alone["milestone_spread"].mean / 2)


def test_nothing_to_audit():
    with pytest.raises(ValueError, match="no episode succeeded"):
        audit([], {"steps_to_go": StepsToGo()}, CUTTERS)
    with pytest.raises(ValueError, match="no method"):
        audit(SAMPLES, {}, CUTTERS)
    with pytest.raises(ValueError, match="'a' appears twice"):
        audit([SAMPLES[0], SAMPLES[0]], {"steps_to_go": StepsToGo()}, CUTTERS)


def test_files(found, tmp_path):
    write_audit(found, tmp_path, {"dataset": "here"})
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == list(found.estimates)
    assert set(summary["trend"]["voc"]) == {"mean", "low", "high"}
    assert summary["trend"]["voc"]["mean"] == pytest.approx(found.estimates["trend"]["voc"].mean, abs=1e-6)
    assert json.loads((tmp_path / "audit.json").read_text())["dataset"] == "here"
    assert len(json.loads((tmp_path / "differences.json").read_text())) == 5
    assert pq.read_table(tmp_path / "episodes.parquet").num_rows == 6 * 3
    labels = read_labels(tmp_path / "labels" / "trend.parquet")
    np.testing.assert_array_equal(labels["b"].target, found.labelled["trend"][1].target)
