import io
import itertools
from urllib.parse import unquote

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from feat2go.core import Episode
from feat2go.report import value_curve_figure
from feat2go.report.curves import PANELS, draw_panel, running_mean
from feat2go.report.drawing import data_uri


def episode(num_frames, height=16, width=16):
    frames = np.full((num_frames, height, width, 3), 90, np.uint8)
    return Episode({"front": frames}, "slide", np.zeros((num_frames - 1, 2)), None, True, None, "a", "Slide-v1", 0, 5.0)


@pytest.mark.parametrize("num_frames", [1, 2, 7, 8, 9, 200])
def test_frames_stand_above_their_moments(num_frames):
    target = torch.linspace(0, 1, num_frames)
    figure = value_curve_figure(episode(num_frames), target, target)
    strip, curves = figure.axes
    assert strip.get_xlim() == curves.get_xlim()
    places = [image.get_extent() for image in strip.images]
    assert len(places) == min(num_frames, 8)
    centres = [(left + right) / 2 for left, right, _, _ in places]
    assert np.allclose(centres, curves.get_xticks(), atol=0.5)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(places))


def test_curves_are_what_was_given():
    target, prediction = torch.linspace(0, 1, 20), torch.full((20,), 0.5)
    curves = value_curve_figure(episode(20), target, prediction).axes[1]
    drawn = [line.get_ydata().tolist() for line in curves.lines if len(line.get_ydata()) == 20]
    assert drawn == [target.tolist(), prediction.tolist()]
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["progress target", "value model"]


def test_a_curve_may_be_missing_but_not_of_another_length():
    for target, prediction in ((None, torch.zeros(4)), (torch.zeros(4), None), (None, None)):
        data_uri(value_curve_figure(episode(4), target, prediction))
    with pytest.raises(ValueError, match="the prediction has 5 values, but the episode 4 frames"):
        value_curve_figure(episode(4), torch.zeros(4), torch.zeros(5))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (12, 40), (40, 12)])
def test_pictures_keep_their_shape(height, width):
    figure = value_curve_figure(episode(8, height, width), None, torch.zeros(8))
    image = figure.axes[0].images[0]
    figure.canvas.draw()
    box = image.get_window_extent()
    assert box.width / box.height == pytest.approx(width / height, rel=1e-3)


def test_large_pictures_are_thinned_out():
    figure = value_curve_figure(episode(3, 480, 640), None, torch.zeros(3))
    assert figure.axes[0].images[0].get_array().shape == (120, 160, 3)


def test_a_figure_can_be_saved_as_a_picture_too():
    buffer = io.BytesIO()
    value_curve_figure(episode(8), torch.zeros(8), None).savefig(buffer, dpi=50)
    assert Image.open(buffer).size[0] == 475


def test_figures_leave_the_global_style_alone_and_repeat_to_the_byte(slide, find):
    before = dict(mpl.rcParams)
    fits = find(slide).fits_of("rl")
    uris = {data_uri(draw_panel(PANELS["rl"][0], fits)) for _ in range(2)}
    assert len(uris) == 1
    assert dict(mpl.rcParams) == before
    svg = unquote(uris.pop().partition(",")[2])
    assert "environment steps" in svg
    assert "system-ui" in svg


@pytest.mark.parametrize("num_runs", [1, 3])
def test_all_panels_draw_one_run_or_several(slide, make, find, num_runs):
    for i in range(1, num_runs):
        make.fit(slide / f"_ppo $x^{i}", make.rl_config(), make.rl_rows(num_epochs=20))
    fits = find(slide).fits_of("rl")
    assert len(fits) == num_runs
    for panel in PANELS["rl"]:
        axes = draw_panel(panel, fits).axes[0]
        assert len(axes.lines) >= num_runs


def test_the_mean_runs_over_what_there_is():
    assert running_mean(np.arange(5.0)).tolist() == [1, 1.5, 2, 2.5, 3]
    assert running_mean(np.full(30, 0.25)) == pytest.approx(np.full(30, 0.25))
