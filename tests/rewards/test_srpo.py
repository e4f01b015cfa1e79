import math
from dataclasses import replace

import pytest
import torch

from feat2go.core import FeatureTrack, Observation
from feat2go.rewards import SRPO
from feat2go.rewards.srpo import cluster_centres, evenly_spaced
from feat2go.rollouts.relabel import relabel, terminal_values


class MeanGrey:
    """One patch with two features: the grey level, and 1."""

    def __init__(self):
        self.episodes = []

    def encode_episode(self, frames):
        self.episodes.append(frames[:, 0, 0, 0].tolist())
        grey = frames[:, 0, 0, 0].float()
        features = torch.stack([grey, torch.ones_like(grey)], 1)[:, None]
        return FeatureTrack(features.half(), torch.arange(len(frames)), "grey")


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_failure_rewards_by_hand():
    successes = torch.tensor([[10.0, 0.0], [10.0, 0.2], [-50.0, 3.0]])
    failures = torch.tensor([[10.0, 1.1], [10.0, 5.1], [12.0, 0.1]])
    # The first two successes make a cluster around (10, 0.1); the third is noise. Distances: 1, 5 and 2.
    rewards = SRPO(MeanGrey).failure_rewards(successes, failures)
    expected = [0.6 * sigmoid(5), 0.6 * sigmoid(-5), 0.6 * sigmoid(10 * (0.5 - 0.25))]
    assert rewards.tolist() == pytest.approx(expected, rel=1e-6)
    assert 0.004 < rewards.min() < rewards.max() < 0.597


def test_equally_far_failures_are_worth_the_middle():
    rewards = SRPO(MeanGrey).failure_rewards(torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert rewards.tolist() == pytest.approx([0.3, 0.3])
    assert SRPO(MeanGrey).failure_rewards(torch.zeros(1, 2), torch.ones(1, 2)).tolist() == pytest.approx([0.3])


def test_without_a_cluster_the_centre_is_the_mean():
    points = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
    torch.testing.assert_close(cluster_centres(points, 0.5), points.mean(0, keepdim=True))


@pytest.mark.parametrize("eps", [0.2, 0.5, 1.0])
def test_clusters_are_those_of_dbscan(eps):
    cluster = pytest.importorskip("sklearn.cluster", reason="pip install scikit-learn")
    points = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([1, 5])
    scaled = ((points - points.mean(0)) / points.std(0, correction=0)).numpy()
    label = torch.from_numpy(cluster.DBSCAN(eps=eps, min_samples=2).fit_predict(scaled))
    expected = torch.stack([points[label == k].mean(0) for k in range(int(label.max()) + 1)])
    ours = cluster_centres(points, eps)
    torch.testing.assert_close(ours[ours[:, 0].argsort()], expected[expected[:, 0].argsort()])


def test_frames_are_evenly_spaced_or_repeated():
    assert evenly_spaced(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly_spaced(3, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert evenly_spaced(64, 64).tolist() == list(range(64))


def test_a_rollout_of_one_task(rollout):
    encoder = MeanGrey()
    shaper = SRPO(lambda: encoder, num_frames=4)
    shaped = relabel(rollout, shaper, terminal_values(rollout, None))
    # The decisions' pictures, then the true last one; short ones from the beginning again.
    assert encoder.episodes == [[10, 20, 30, 10], [60, 62, 64, 65]]
    assert shaped.reward[1, 0] == 1.0
    assert shaped.reward[2, 1].item() == pytest.approx(0.3)  # the only failure
    assert shaped.reward.count_nonzero() == 2


def test_successes_of_another_task_do_not_count(rollout):
    final = rollout.final_observation
    other = replace(rollout, final_observation=Observation(final.images, None, ["put the cube", "put the ball"]))
    encoder = MeanGrey()
    shaped = relabel(other, SRPO(lambda: encoder), terminal_values(other, None))
    assert shaped.reward.sum() == 1.0
    assert encoder.episodes == []


@pytest.mark.parametrize("settings", [{"num_frames": 0}, {"eps": 0.0}, {"max_failure_reward": 1.5}])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="num_frames is at least 1"):
        SRPO(MeanGrey, **settings)
