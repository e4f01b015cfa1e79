import numpy as np
import pytest
import torch

from feat2go.core import similarity
from feat2go.core.similarity import patch_similarity


def reference(features, goal, beta):
    """Written out patch by patch in float64."""
    features, goal = features.double().numpy(), goal.double().numpy()
    result = []
    for frame in features:
        terms = []
        for z, k in zip(frame, goal, strict=True):
            cosine = z @ k / (np.linalg.norm(z) * np.linalg.norm(k))
            terms.append(cosine * np.exp(-beta * np.abs(z - k).sum()))
        result.append(np.mean(terms))
    return torch.tensor(result, dtype=torch.float32)


def random_features(num_frames=7, num_patches=5, width=11):
    return torch.randn(num_frames, num_patches, width, generator=torch.Generator().manual_seed(0))


def test_hand_worked_value():
    # Cosines 1 and 3/5; Manhattan distances 1 and 4.
    features = torch.tensor([[[2.0, 0.0], [3.0, 4.0]]])
    goal = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    torch.testing.assert_close(patch_similarity(features, goal), torch.tensor([0.8]))
    expected = (1 * np.exp(-0.5) + 0.6 * np.exp(-2.0)) / 2
    torch.testing.assert_close(patch_similarity(features, goal, beta=0.5), torch.tensor([expected]).float())


@pytest.mark.parametrize("beta", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_agrees_with_the_formula_in_float64(beta, dtype):
    features = random_features().to(dtype)
    result = patch_similarity(features, features[3], beta)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, reference(features, features[3], beta), rtol=1e-5, atol=1e-6)


def test_arithmetic_is_float32_for_half_precision_features():
    # The squares overflow float16, and its sums would lose the small component.
    features = torch.tensor([[[300.0, 1.0]]], dtype=torch.float16).expand(2, 1, 2)
    goal = torch.tensor([[300.0, -1.0]], dtype=torch.float16)
    cosine = (300.0**2 - 1) / (300.0**2 + 1)
    torch.testing.assert_close(patch_similarity(features, goal), torch.full((2,), cosine), rtol=1e-6, atol=0)


def test_similarity_to_oneself_is_one_and_magnitude_counts_only_with_beta():
    features = random_features()
    assert patch_similarity(features, features[2], beta=3.0)[2] == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(patch_similarity(7 * features, features[2]), patch_similarity(features, features[2]))
    assert (patch_similarity(7 * features, features[2], beta=0.1) < 0.5).all()


def test_a_patch_of_zeros_points_nowhere():
    features = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
    assert patch_similarity(features, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item() == 0.5
    assert patch_similarity(features, features[0]).item() == 0.5


def test_chunks_change_nothing(monkeypatch):
    features = random_features()
    whole = patch_similarity(features, features[-1], beta=0.1)
    monkeypatch.setattr(similarity, "MAX_CHUNK_ELEMENTS", 2 * features[0].numel())
    torch.testing.assert_close(patch_similarity(features, features[-1], beta=0.1), whole, rtol=0, atol=0)
    monkeypatch.setattr(similarity, "MAX_CHUNK_ELEMENTS", 1)
    torch.testing.assert_close(patch_similarity(features, features[-1], beta=0.1), whole, rtol=0, atol=0)


@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_refuses_what_is_not_finite(bad, beta):
    features = random_features()
    broken = features.clone()
    broken[1, 2, 3] = bad
    with pytest.raises(ValueError, match="^features must be finite"):
        patch_similarity(broken, features[0], beta)
    with pytest.raises(ValueError, match="goal's features must be finite"):
        patch_similarity(features, broken[1], beta)


def test_features_whose_sum_overflows_are_finite():
    features = torch.full((2, 3, 4), 3e38)
    assert patch_similarity(features, -features[0], beta=0.1).isfinite().all()
    similarity.require_features(features)
    similarity.require_features(features.double() * 10)


@pytest.mark.parametrize("shape", [(0, 5, 11), (7, 0, 11), (7, 5, 0)])
def test_refuses_empty_features(shape):
    with pytest.raises(ValueError, match="must not be empty"):
        patch_similarity(torch.zeros(shape), torch.zeros(shape[1:]))


def test_refuses_shapes_and_betas_that_make_no_sense():
    features = random_features()
    with pytest.raises(ValueError, match=r"\(T, P, D\)"):
        patch_similarity(features[0], features[0, 0])
    with pytest.raises(ValueError, match=r"\(P, D\) = \(5, 11\)"):
        patch_similarity(features, features[0, :1])
    for beta in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="beta"):
            patch_similarity(features, features[0], beta)
