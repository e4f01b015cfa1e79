import torch

from feat2go.clustering import Uniform
from feat2go.core.types import Stages
from feat2go.progress.segmentation import segment_episodes


class Together:
    """Cuts every episode in the middle of the shortest."""

    def segment(self, features):
        return self.segment_all([features])[0]

    def segment_all(self, features):
        cut = min(len(track) for track in features) // 2
        return [Stages.from_boundaries([0, cut, len(track)]) for track in features]


def test_a_clustering_that_can_sees_all_episodes_of_a_task():
    tracks = [torch.zeros(8, 1, 1), torch.zeros(20, 1, 1)]
    assert [own.boundaries.tolist() for own in segment_episodes(Together(), tracks)] == [[0, 4, 8], [0, 4, 20]]
    assert [own.boundaries.tolist() for own in segment_episodes(Uniform(2), tracks)] == [[0, 4, 8], [0, 10, 20]]
