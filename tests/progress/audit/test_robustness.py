import numpy as np
import pytest
import torch

from feat2go.core.ordering import rank_correlation
from feat2go.core.types import ProgressTrack, Stages
from feat2go.progress.audit import Given, Labelled, Sample, StepsToGo
from feat2go.progress.audit.perturbations import PERTURBATIONS
from feat2go.progress.audit.robustness import paired_scores, robustness


def labelled(cuts, target):
    stages = Stages.from_boundaries(cuts)
    values = torch.tensor(target)
    return Labelled(stages, ProgressTrack(values, stages.stage, values))


def test_rank_correlation():
    assert rank_correlation([1.0, 2.0, 3.0], [10.0, 20.0, 15.0]) == pytest.approx(0.5)
    assert rank_correlation([1.0, 1.0], [1.0, 2.0]) == 0
    with pytest.raises(ValueError, match="different lengths: 2 and 3"):
        rank_correlation([1.0, 2.0], [1.0, 2.0, 3.0])


def test_paired_scores():
    clean = labelled([0, 2, 4, 5], [0.1, 0.2, 0.3, 0.4, 0.5])
    worse = labelled([0, 3, 5], [0.1, 0.2, 0.3, 0.5, 0.4])
    scores = paired_scores(clean, worse)
    assert scores["rank_correlation"] == pytest.approx(0.9)
    # 2 is one frame from 3, 4 is one frame from 3 and from the end.
    assert scores["boundary_shift"] == 1
    assert scores["pair_accuracy_drop"] == pytest.approx(0.1)


def test_robustness_pairs_episodes():
    samples = [Sample(uid, "task", torch.ones(6, 1, 1)) for uid in "ab"]
    found = robustness(samples, [torch.zeros(6, 1, 1)] * 2, StepsToGo(), num_resamples=20)
    assert found["rank_correlation"].mean == pytest.approx(1)
    assert found["boundary_shift"].mean == 0
    # Values that are given for the clean pictures, and others for the perturbed ones.
    rising = {uid: np.linspace(0, 1, 6, dtype=np.float32) for uid in "ab"}
    falling = {uid: values[::-1].copy() for uid, values in rising.items()}
    found = robustness(samples, [torch.zeros(6, 1, 1)] * 2, Given(rising), Given(falling), num_resamples=20)
    assert found["rank_correlation"].mean == pytest.approx(-1)
    with pytest.raises(ValueError, match="'b' has 6 frames, but 5"):
        robustness(samples, [torch.zeros(6, 1, 1), torch.zeros(5, 1, 1)], StepsToGo())


def test_robustness_labels_each_task_on_its_own():
    seen = []

    class Watched(StepsToGo):
        def label(self, samples):
            seen.append({sample.task for sample in samples})
            return super().label(samples)

    samples = [Sample(f"{task}-{number}", task, torch.ones(4, 1, 1)) for number in range(2) for task in ("one", "two")]
    robustness(samples, [torch.zeros(4, 1, 1)] * 4, Watched(), num_resamples=5)
    assert seen == [{"one"}, {"two"}] * 2


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbations_are_worse_by_severity_and_repeatable(name):
    frames = np.random.default_rng(0).integers(60, 200, (3, 40, 40, 3), dtype=np.uint8)
    kept = frames.copy()
    seen = [PERTURBATIONS[name](frames, severity, 5) for severity in (1, 2, 3)]
    np.testing.assert_array_equal(frames, kept)
    np.testing.assert_array_equal(seen[1], PERTURBATIONS[name](frames, 2, 5))
    for own in seen:
        assert own.shape == frames.shape
        assert own.dtype == np.uint8
    changed = [(own != frames).mean() for own in seen]
    assert changed[0] > 0
    if name in ("noise", "light", "colour"):
        differences = [np.abs(own.astype(int) - frames).mean() for own in seen]
        assert differences[0] < differences[1] < differences[2]
    if name == "distractors":
        assert changed[0] < changed[1] < changed[2]


def test_a_camera_moves_the_whole_episode_alike():
    frames = np.zeros((2, 40, 40, 3), np.uint8)
    frames[:, 18:22, 18:22] = 255
    seen = PERTURBATIONS["camera"](frames, 3, 1)
    np.testing.assert_array_equal(seen[0], seen[1])
    moved = np.argwhere(seen[0, :, :, 0]).mean(axis=0) - np.argwhere(frames[0, :, :, 0]).mean(axis=0)
    assert 2.5 <= np.linalg.norm(moved) <= 5.5


def test_refuses_another_severity():
    with pytest.raises(ValueError, match="severity is 1, 2 or 3"):
        PERTURBATIONS["noise"](np.zeros((1, 8, 8, 3), np.uint8), 4, 0)
