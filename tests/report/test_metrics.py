import numpy as np
import pytest

from feat2go.report.metrics import Metrics


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "metrics.csv").write_bytes(text.encode())
        return Metrics.read(tmp_path / "metrics.csv")

    return read


def points(metrics, name):
    series = metrics.series(name)
    return list(zip(series.x.tolist(), series.y.tolist(), strict=True))


def test_gaps_and_nan_are_no_points(read):
    metrics = read("epoch,step,train/loss\r\n0,9,2.5\r\n1,19,\r\n2,29,nan\r\n3,39,1e-1\r\n")
    assert points(metrics, "train/loss") == [(9, 2.5), (39, 0.1)]
    assert metrics.x_label == "optimiser steps"
    assert metrics.epochs == (0, 3)
    assert metrics.last("train/loss") == 0.1
    assert metrics.num_damaged == 0


def test_validation_rows_get_the_env_steps_of_their_epoch(read):
    metrics = read(
        "epoch,rollout/env_steps,rollout/success,step,val/success_once\n"
        "0,100,0.25,5,\n1,,,11,0.5\n1,200,0.75,11,\n2,,,17,0.6\n"
    )
    assert metrics.x_label == "environment steps"
    assert points(metrics, "rollout/success") == [(100, 0.25), (200, 0.75)]
    # Epoch 2 was cut off before its rollout was logged: where its point belongs isn't known.
    assert points(metrics, "val/success_once") == [(200, 0.5)]


@pytest.mark.parametrize("tail", ["2,29,0.", "2,29", "2,2\0"])
def test_a_cut_off_last_line_is_left_out(read, tail):
    metrics = read("epoch,step,train/loss\n0,9,2.5\n1,19,1.5\n" + tail)
    assert metrics.series("train/loss").y.tolist() == [2.5, 1.5]
    assert metrics.num_damaged == 1


def test_a_line_that_an_interruption_merged_with_the_next_is_left_out(read):
    metrics = read("epoch,step,train/loss\n0,9,2.5\n1,19,1.1,19,1.5\n2,29,0.5\n")
    assert metrics.series("train/loss").y.tolist() == [2.5, 0.5]
    assert metrics.num_damaged == 1


def test_what_a_resumed_run_logged_again_counts(read):
    metrics = read("epoch,step,train/loss\n0,9,3\n1,19,2\n2,29,1\n1,19,2.5\n2,30,1.5\n")
    assert points(metrics, "train/loss") == [(9, 3), (19, 2.5), (30, 1.5)]


@pytest.mark.parametrize("text", ["", "epoch,step", "epoch,step\n", "\n\n", "\0\0\0"])
def test_a_file_without_rows(read, text):
    metrics = read(text)
    assert metrics.epochs is None
    assert len(metrics.series("epoch").y) == 0
    assert np.isnan(metrics.last("train/loss"))


def test_no_file(tmp_path):
    assert Metrics.read(tmp_path / "metrics.csv").epochs is None
