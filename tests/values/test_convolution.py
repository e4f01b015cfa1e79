import pytest
import torch

from feat2go.values.convolution import ConvolutionTrunk


@pytest.mark.parametrize("num_patches", [1, 4, 49, 64, 196])
def test_any_square_grid_comes_down_to_one_vector(num_patches):
    trunk = ConvolutionTrunk(num_patches, width=8, dropout=0.0)
    assert trunk(torch.randn(3, num_patches, 8)).shape == (3, 8)


def test_patches_are_read_row_by_row():
    """One convolution of 3x3 keeps apart the patches that touch from those that are further away."""
    trunk = ConvolutionTrunk(49, width=4, dropout=0.0)
    first = trunk.convolutions[0]
    patches = torch.zeros(1, 49, 4)
    patches[0, 7 * 2 + 5] = 1.0
    grid = patches.transpose(1, 2).unflatten(2, (7, 7))
    seen = (first(grid) - first(torch.zeros_like(grid))).abs().sum(dim=(0, 1)) > 0
    expected = torch.zeros(7, 7, dtype=torch.bool)
    expected[1:4, 4:7] = True
    assert torch.equal(seen, expected)
    assert not torch.allclose(trunk(patches), trunk(patches.roll(7, dims=1)))


def test_other_grids_are_refused():
    with pytest.raises(ValueError, match="square grid.*has 12"):
        ConvolutionTrunk(12, width=8, dropout=0.0)
