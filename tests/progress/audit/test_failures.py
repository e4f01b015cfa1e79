import numpy as np
import pytest
import torch

from feat2go.progress.audit.failures import Neighbours, auroc, event_frame, event_order
from feat2go.progress.audit.scores import event_auroc, failure_scores


def test_event_orders():
    # e = round(0.7 * 10) = 7, s = round(0.2 * 10) = 2.
    assert event_frame(11) == 7
    assert event_order("drop", 11).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 2, 2, 2]
    assert event_order("stall", 11).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7]
    assert event_order("regress", 11).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2]
    assert event_order("retry", 11)[-3:].tolist() == [8, 9, 10]
    with pytest.raises(ValueError, match="known: drop, stall"):
        event_order("fall", 11)


@pytest.mark.parametrize("event", ["drop", "stall", "regress", "retry"])
@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_short_episodes_have_events_too(event, num_frames):
    order = event_order(event, num_frames)
    assert len(order)
    assert order.max() < num_frames


def test_auroc():
    assert auroc([0.9, 0.5], [0.1, 0.5]) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert np.isnan(auroc([], [1.0]))


def test_a_value_that_follows_the_content_sees_the_events():
    values = np.linspace(0, 1, 11)
    scores = failure_scores(values)
    assert scores["drop_change"] == pytest.approx(-0.5)
    assert scores["stall_change"] == 0
    assert scores["regress_change"] == pytest.approx(-0.5)
    assert scores["retry_change"] == pytest.approx(0.3)
    assert scores["drop_located"] == 1
    assert event_auroc([values, values])(np.array([[0, 1]])) == 1


def features_of(progress):
    """Two patches whose direction turns with progress."""
    angle = torch.as_tensor(progress, dtype=torch.float32) * np.pi / 2
    patch = torch.stack([angle.cos(), angle.sin()], -1)
    return torch.stack([patch, patch], 1)


def test_values_are_read_from_other_episodes():
    progress = [np.linspace(0, 1, 40), np.linspace(0, 1, 50), np.linspace(0, 1, 60)]
    neighbours = Neighbours([features_of(own) for own in progress], [features_of([0.25, 0.5])])
    for values, own in zip(neighbours.values(progress), progress, strict=True):
        np.testing.assert_allclose(values, own, atol=0.03)
    np.testing.assert_allclose(neighbours.query_values(progress)[0], [0.25, 0.5], atol=0.02)
    # Its own label does not count: with one episode there is nobody to read from.
    assert np.isnan(Neighbours([features_of(progress[0])]).values(progress[:1])[0]).all()
