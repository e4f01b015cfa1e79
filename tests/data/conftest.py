import runpy
from pathlib import Path

import numpy as np
import pytest

from feat2go.core import Episode
from feat2go.data import DatasetInfo

LEROBOT = runpy.run_path(str(Path(__file__).with_name("make_tiny_lerobot.py")))
SIDE, NUM_ACTION_DIMS, NUM_STATE_DIMS = 8, 3, 2


@pytest.fixture
def make_episode():
    def make(seed=0, num_frames=5, success=True, cameras=("base", "hand"), **changes):
        rng = np.random.default_rng(seed)
        values = {
            "frames": {c: rng.integers(0, 256, (num_frames, SIDE, SIDE, 3), dtype=np.uint8) for c in cameras},
            "instruction": "put the red cube on the blue plate",
            "actions": rng.uniform(-1, 1, (num_frames - 1, NUM_ACTION_DIMS)).astype(np.float32),
            "state": rng.normal(size=(num_frames, NUM_STATE_DIMS)).astype(np.float32),
            "success": success,
            "milestones": np.arange(num_frames),
            "uid": f"Fake-v1-{seed}",
            "env_id": "Fake-v1",
            "seed": seed,
            "fps": 20.0,
        }
        return Episode(**(values | changes))

    return make


@pytest.fixture
def info():
    return DatasetInfo(
        env_id="Fake-v1",
        cameras=("hand", "base"),
        image_size=SIDE,
        fps=20.0,
        action_dim=NUM_ACTION_DIMS,
        state_dim=NUM_STATE_DIMS,
        milestones=("reached", "success"),
    )


@pytest.fixture
def assert_same():
    def check(read, written):
        assert set(read.frames) == set(written.frames)
        for camera in written.frames:
            np.testing.assert_array_equal(read.frames[camera][:], written.frames[camera][:], strict=True)
        for name in ("actions", "state", "milestones"):
            expected = getattr(written, name)
            if expected is None:
                assert getattr(read, name) is None
            else:
                np.testing.assert_array_equal(getattr(read, name), expected, strict=True)
        for name in ("instruction", "success", "uid", "env_id", "seed", "fps"):
            assert getattr(read, name) == getattr(written, name)
            assert type(getattr(read, name)) is type(getattr(written, name))

    return check


@pytest.fixture
def write_video():
    return LEROBOT["write_video"]


@pytest.fixture
def write_lerobot():
    return LEROBOT["write_lerobot"]
