from collections import Counter

import numpy as np
import pytest
import torch

from feat2go.core import Episode
from feat2go.training.frame_stream import BLOCK, EpisodeFiles, FrameLoader, FrameStream, read_rows

LENGTHS = [3, 5, 9, 4, 6, 7, 8, 5, 10]


def episode(number, num_frames, side=4):
    """Every pixel of frame t is 16 * number + t, one more through the second camera."""
    frames = np.arange(num_frames, dtype=np.uint8)[:, None, None, None] + np.uint8(16 * number)
    frames = np.broadcast_to(frames, (num_frames, side, side, 3))
    actions = np.zeros((num_frames - 1, 0), np.float32)
    cameras = {"base": frames, "hand": frames + 100}
    made = Episode(cameras, f"task {number}", actions, None, True, None, f"e{number}", "env", number, 10.0)
    return made, torch.arange(num_frames) / 100 + number


EPISODES = [episode(number, length) for number, length in enumerate(LENGTHS)]


def stream(episodes=EPISODES, cameras=(None,), **arguments):
    settings = {"batch_size": 8, "frames_per_episode": 4, "pool_size": 4, "seed": 0} | arguments
    return FrameStream(episodes, list(cameras), **settings)


def seen(batches):
    """The episode of every row; checks that image, sentence and target belong together."""
    numbers = []
    for batch in batches:
        for image, sentence, target in zip(batch.prepared, batch.instruction, batch.target, strict=True):
            number = int(target)
            t = round(float(target - number) * 100)
            assert sentence == f"task {number}"
            assert int(image[0, 0, 0]) % 100 in ((16 * number + t) % 100, (16 * number + t + 100) % 256 % 100)
            numbers.append(number)
    return numbers


def test_an_epoch_takes_the_same_number_of_frames_of_every_episode():
    batches = list(stream())
    assert len(batches) == len(stream()) == 5
    assert all(len(batch.target) == 8 for batch in batches[:4])
    assert Counter(seen(batches)) == dict.fromkeys(range(9), 4)
    # Frames of a pool are mixed.
    assert len(set(seen(batches[:1]))) > 2


def test_no_frame_comes_twice_before_all_have_come():
    drawn = [float(target) for batch in stream(frames_per_episode=3) for target in batch.target]
    assert len(set(drawn)) == len(drawn) == 27
    shortest = [target for batch in stream(frames_per_episode=5) for target in batch.target.tolist() if target < 1]
    assert sorted(Counter(shortest).values()) == [1, 2, 2]


def test_every_camera_is_looked_through():
    first = [int(batch.prepared.max()) for batch in stream(cameras=["base"])]
    both = torch.cat([batch.prepared for batch in stream(cameras=["base", "hand"], frames_per_episode=1)])
    assert max(first) < 16 * 9
    hand = sum(int(image.max()) >= 100 and int(image.max()) % 16 >= 4 for image in both)
    assert 0 < hand < 9


def test_epochs_differ_and_can_be_repeated():
    loader = FrameLoader(stream())
    first, second = [seen(loader) for _ in range(2)]
    assert first != second
    assert seen(FrameLoader(stream())) == first
    assert seen(FrameLoader(stream(), first_epoch=1)) == second
    assert seen(FrameLoader(stream(seed=1))) != first


def test_ranks_share_no_episode_and_have_as_many_batches():
    ranks = [stream(rank=rank, world_size=2) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1])
    numbers = [set(seen(rank)) for rank in ranks]
    assert not numbers[0] & numbers[1]
    assert len(numbers[0]) == len(numbers[1]) == 4
    with pytest.raises(ValueError, match="9 training episodes are too few for 10 processes"):
        stream(world_size=10)


def test_workers_share_the_pools():
    loader = FrameLoader(stream(pool_size=3), num_workers=2)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert Counter(seen(batches)) == dict.fromkeys(range(9), 4)
    assert seen(loader) != seen(batches)


def test_frames_of_several_sizes_are_refused_by_name():
    with pytest.raises(ValueError, match=r"need one size, found .*'e1'.*train on cameras of one size"):
        list(stream([EPISODES[0], episode(1, 5, side=6)]))


class Watched:
    """Frames that note which slices were read."""

    def __init__(self, num_frames):
        self.frames = np.arange(num_frames, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
        self.read = []

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, rows):
        self.read.append(rows)
        return self.frames[rows]


def test_long_episodes_are_decoded_in_blocks():
    frames = Watched(3 * BLOCK + 5)
    rows = [2, 2, BLOCK - 1, 3 * BLOCK + 1]
    assert read_rows(frames, rows)[:, 0, 0, 0].tolist() == rows
    assert [rows.stop - rows.start for rows in frames.read] == [BLOCK - 2, 1]


def test_whole_episodes_are_read_when_they_are_asked_for():
    files = EpisodeFiles(EPISODES, [4, 2], "hand")
    assert len(files) == 2
    batch = files[0]
    assert (batch.index, batch.uid, batch.instruction, batch.success) == (4, "e4", "task 4", True)
    assert batch.prepared[:, 0, 0, 0].tolist() == [16 * 4 + t + 100 for t in range(6)]
    with pytest.raises(ValueError, match="'e4' has no camera 'top'; it has: base, hand"):
        EpisodeFiles(EPISODES, [4], "top")[0]
