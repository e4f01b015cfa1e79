"""Rollouts of two environments that take turns, under the Trainer."""

import threading

import pytest


def threads_of_envs():
    return [thread for thread in threading.enumerate() if thread.name.startswith("env")]


def test_the_environment_is_made_twice_and_its_threads_end_with_the_training(fit, make_data):
    data = make_data(double_buffered=True)
    _, data = fit(data=data)
    # In two iterations of four steps.
    assert data.rollout_metrics["env_steps"] == 2 * 4 * (4 + 4)
    assert threads_of_envs() == []


def test_whole_episodes_are_not_double_buffered(make_data):
    with pytest.raises(ValueError, match="double_buffered needs data.num_steps"):
        make_data(num_steps=None, num_episodes=8, double_buffered=True)
