import math

import pytest
import torch

from feat2go.values.metrics import MAE, VOC, PairAccuracy, TerminalAUROC

RISING, FALLING, SWAPPED = torch.tensor([0.1, 0.2, 0.9]), torch.tensor([0.9, 0.5, 0.0]), torch.tensor([0.2, 0.1, 0.9])


def test_voc_is_the_mean_over_episodes():
    metric = VOC()
    metric.update(0, RISING)
    metric.update(1, FALLING)
    metric.update(2, SWAPPED)
    torch.testing.assert_close(metric.compute(), torch.tensor((1 - 1 + 0.5) / 3))


def test_pair_accuracy_is_the_mean_over_episodes():
    metric = PairAccuracy()
    metric.update(0, RISING)
    metric.update(1, SWAPPED)
    torch.testing.assert_close(metric.compute(), torch.tensor((1 + 2 / 3) / 2))


def test_mae_weighs_episodes_alike_whatever_their_length():
    metric = MAE()
    metric.update(0, torch.zeros(9), torch.full((9,), 0.1))
    metric.update(1, torch.zeros(1), torch.full((1,), 0.5))
    torch.testing.assert_close(metric.compute(), torch.tensor(0.3))


def test_terminal_auroc_counts_ordered_pairs_and_half_of_the_ties():
    metric = TerminalAUROC()
    for episode, (value, success) in enumerate([(0.9, True), (0.5, True), (0.5, False), (0.7, False)]):
        metric.update(episode, value, success)
    torch.testing.assert_close(metric.compute(), torch.tensor((1 + 1 + 0.5 + 0) / 4))


@pytest.mark.parametrize("success", [True, False])
def test_terminal_auroc_of_one_kind_only_is_nan(success):
    metric = TerminalAUROC()
    metric.update(0, 0.5, success)
    assert math.isnan(metric.compute())


def test_an_episode_that_was_seen_twice_counts_once():
    metric = VOC()
    for episode, values in [(0, RISING), (1, FALLING), (0, RISING)]:
        metric.update(episode, values)
    torch.testing.assert_close(metric.compute(), torch.tensor(0.0))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("metric", [VOC, PairAccuracy, MAE, TerminalAUROC])
def test_no_episodes_give_nan_and_reset_forgets(metric):
    instance = metric()
    assert math.isnan(instance.compute())
    instance.reset()
    instance.record(0, 1.0, 1.0)
    instance.reset()
    assert len(instance.rows()) == 0
