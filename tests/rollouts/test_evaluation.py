import math
from dataclasses import asdict

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from feat2go.core import EvaluationRow
from feat2go.core.seeding import episode_seed
from feat2go.rollouts.evaluation import evaluate


def evaluation_seeds(num_seeds, split="evaluation"):
    return [episode_seed(split, index) for index in range(num_seeds)]


def expected_row(seed, speed=1.0):
    """What the track does under a constant speed, computed apart from it."""
    position = -0.5 * (seed % 4) + 0.5 * speed * np.arange(1, 7)
    success = (position >= 1) & (position < 2)
    return bool(success.any()), bool(success[-1]), 6, 2 if success.any() else 1


def outcomes(rows):
    return [(row.seed, row.success_once, row.success_at_end, row.length, row.milestone) for row in rows]


@pytest.mark.parametrize("num_envs", [1, 3, 4, 7, 10, 16])
def test_every_seed_is_evaluated_once_whatever_the_number_of_envs(track, full_speed, num_envs):
    env, seeds = track(num_envs), evaluation_seeds(10)[::-1]
    rows = evaluate(env, full_speed(), seeds)
    assert outcomes(rows) == [(seed, *expected_row(seed)) for seed in seeds]
    assert set(env.started) == set(seeds)
    assert env.started[: len(seeds)] == seeds


def test_success_once_and_at_end_differ_where_the_slider_shoots_past_the_goal(track, full_speed):
    rows = evaluate(track(4), full_speed(), evaluation_seeds(4))
    # Only the fourth, which starts farthest away, is still in the goal at the limit.
    assert [row.success_once for row in rows] == [True, True, True, True]
    assert [row.success_at_end for row in rows] == [False, False, False, True]


def test_an_action_after_the_end_of_the_episode_does_not_count(track, full_speed):
    policy = full_speed()
    policy.chunk = 4
    rows = evaluate(track(3), policy, evaluation_seeds(6))
    assert outcomes(rows) == [(row.seed, *expected_row(row.seed)) for row in rows]


def test_a_policy_that_stands_still_fails(track, full_speed):
    rows = evaluate(track(3), full_speed(speed=0.0), evaluation_seeds(3, "development"), suite="tilt", setting="mild")
    assert [asdict(row) | {"terminal_value": None} for row in rows] == [
        {
            "task": "Track-v1",
            "suite": "tilt",
            "setting": "mild",
            "seed": seed,
            "success_once": False,
            "success_at_end": False,
            "length": 6,
            "milestone": 1,
            "terminal_value": None,
            "video": "",
            "instruction": f"slide {seed}",
        }
        for seed in evaluation_seeds(3, "development")
    ]
    assert all(math.isnan(row.terminal_value) for row in rows)


def test_the_environment_and_the_policy_are_left_as_they_were(track, full_speed):
    env, policy, generator = track(2), full_speed().train(), torch.Generator()
    env.terminate_on_success = True
    evaluate(env, policy, evaluation_seeds(3), temperature=0.5, generator=generator)
    assert env.terminate_on_success is True
    assert policy.training
    assert set(policy.calls) == {(False, False, 0.5, generator)}


def test_a_lost_simulation_leaves_no_trace(track, full_speed):
    seeds = evaluation_seeds(5)
    env = track(2, lost={(seeds[1], 2), (seeds[4], 0)})
    rows = evaluate(env, full_speed(), seeds)
    assert not env.lost
    assert outcomes(rows) == outcomes(evaluate(track(2), full_speed(), seeds))


class MeanBrightness:
    def __init__(self):
        self.calls = []

    def predict(self, images, instruction):
        assert images.dtype == torch.uint8
        self.calls.append(list(instruction))
        return images.float().mean((1, 2, 3)) / 255


def test_terminal_values_are_of_the_true_last_frame_in_one_call(track, full_speed):
    predictor, seeds = MeanBrightness(), evaluation_seeds(5)
    rows = evaluate(track(2), full_speed(), seeds, predictor=predictor)
    last = [int(100 + 20 * (-0.5 * (seed % 4) + 3)) / 255 for seed in seeds]
    assert [row.terminal_value for row in rows] == pytest.approx(last, rel=1e-6)
    assert predictor.calls == [[f"slide {seed}" for seed in seeds]]
    assert [row.instruction for row in rows] == predictor.calls[0]


def read_video(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return meta, [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def test_videos_show_successes_and_failures(track, full_speed, tmp_path):
    seeds = evaluation_seeds(12)
    rows = evaluate(track(5), full_speed(), seeds, video_folder=tmp_path / "videos", num_videos=3)
    named = {row.video for row in rows if row.video}
    assert named == {
        f"videos/{seeds[3]}_success.mp4",
        f"videos/{seeds[7]}_success.mp4",
        f"videos/{seeds[0]}_failure.mp4",
    }
    assert {f"videos/{file.name}" for file in (tmp_path / "videos").iterdir()} == named
    meta, frames = read_video(tmp_path / "videos" / f"{seeds[3]}_success.mp4")
    # Ten actions per second, two to a decision; the first frame, and three decisions.
    assert meta["fps"] == 5.0
    brightness = [100 + 20 * position for position in (-1.5, -0.5, 0.5, 1.5)]
    np.testing.assert_allclose([frame.mean() for frame in frames], brightness, atol=2.5)
    assert frames[0].shape == (256, 256, 3)


@pytest.mark.parametrize("num_videos", [0, 4])
def test_no_more_videos_than_there_are_episodes_of_that_outcome(track, full_speed, tmp_path, num_videos):
    rows = evaluate(track(2), full_speed(0.0), evaluation_seeds(3), video_folder=tmp_path / "v", num_videos=num_videos)
    assert [bool(row.video) for row in rows] == [num_videos > 0, num_videos > 0, False]


def test_training_seeds_are_refused(track, full_speed):
    with pytest.raises(ValueError, match="seed 5 is from the train split, but an evaluation may only use"):
        evaluate(track(2), full_speed(), [*evaluation_seeds(2), 5])


def test_repeated_seeds_are_refused(track, full_speed):
    with pytest.raises(ValueError, match="1 of 4 evaluation seeds are repeated"):
        evaluate(track(2), full_speed(), [*evaluation_seeds(3), evaluation_seeds(1)[0]])


def test_no_seeds_give_no_rows(track, full_speed):
    assert evaluate(track(2), full_speed(), []) == []


def test_progress_without_a_terminal_is_lines(track, full_speed, capfd):
    evaluate(track(2), full_speed(), evaluation_seeds(4), progress=True)
    assert capfd.readouterr().err.splitlines() == [
        "evaluating Track-v1: 2/4 (2 successful)",
        "evaluating Track-v1: 4/4 (4 successful)",
    ]
    evaluate(track(2), full_speed(), evaluation_seeds(4))
    assert capfd.readouterr().err == ""


def test_rows_are_evaluation_rows(track, full_speed):
    (row,) = evaluate(track(1), full_speed(), evaluation_seeds(1))
    assert isinstance(row, EvaluationRow)
    assert {name: type(value) for name, value in asdict(row).items()} == {
        "task": str,
        "suite": str,
        "setting": str,
        "seed": int,
        "success_once": bool,
        "success_at_end": bool,
        "length": int,
        "milestone": int,
        "terminal_value": float,
        "video": str,
        "instruction": str,
    }
