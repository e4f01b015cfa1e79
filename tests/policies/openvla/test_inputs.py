"""Pictures, prompts, statistics and the critic's start."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from feat2go.policies import OpenVLA, OpenVLAOFT
from feat2go.policies.openvla.critic import CriticHead
from feat2go.policies.openvla.pictures import ImageProcessor, TowerPixels
from feat2go.policies.openvla.prompts import Prompter, append, complete_prompt, mask_of
from feat2go.policies.openvla.statistics import Statistics

STATISTICS = {
    "a": {
        "action": {"q01": [-2.0, 0.0], "q99": [2.0, 1.0], "min": [-4.0, 0.0], "max": [4.0, 1.0], "mask": [True, False]},
        "proprio": {"q01": [0.0], "q99": [10.0], "min": [-10.0], "max": [10.0]},
    }
}


def test_instructions_become_prompts(tiny):
    from tokenizers import Tokenizer

    prompter = Prompter(tiny, "openvla", 32000)
    ids, mask = prompter(["Put the Red Cube on the plate", "lift"])
    tokenizer = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    texts = [tokenizer.decode(row[keep.bool()].tolist()) for row, keep in zip(ids, mask, strict=True)]
    question = "In: What action should the robot take to"
    assert texts == [f"{question} put the red cube on the plate?\nOut:", f"{question} lift?\nOut:"]
    assert ids[:, 0].tolist() == [1, 1]
    assert (ids[mask == 0] == 32000).all()
    assert torch.equal(mask.sum(1).sort(descending=True).values, mask.sum(1))
    old = Prompter(tiny, "v01", 32000)(["lift"])[0][0]
    assert tokenizer.decode(old.tolist()).endswith("robot take to lift? ASSISTANT:")
    with pytest.raises(ValueError, match="a text with {instruction}; got 'do it'"):
        Prompter(tiny, "do it", 32000)


def test_the_empty_piece_goes_behind_each_row_s_own_end():
    ids = torch.tensor([[1, 5, 6, 7], [1, 5, 32000, 32000], [1, 29871, 32000, 32000]])
    completed, lengths = complete_prompt(ids, ids != 32000)
    assert lengths.tolist() == [5, 3, 2]
    rows = [row[:length].tolist() for row, length in zip(completed, lengths, strict=True)]
    assert rows == [[1, 5, 6, 7, 29871], [1, 5, 29871], [1, 29871]]
    longer = append(completed, lengths, torch.tensor([[8, 9]] * 3))
    assert longer.shape == (3, 7)
    assert longer[1, :5].tolist() == [1, 5, 29871, 8, 9]
    assert mask_of(lengths, 5).sum(1).tolist() == [5, 3, 2]
    with pytest.raises(ValueError, match="padded on the right, with at least one token"):
        complete_prompt(ids, torch.zeros_like(ids))


def test_preprocess_takes_cameras_lists_and_single_pictures(tiny):
    policy = OpenVLA(str(tiny))
    pictures = torch.randint(0, 256, (2, 31, 17, 3), generator=torch.Generator().manual_seed(0)).byte()
    inputs = policy.preprocess({"base": pictures, "wrist": pictures.flip(0)}, ["lift", "push"])
    assert inputs["pixel_values"].shape == (2, 6, 28, 28)
    assert torch.equal(policy.preprocess(pictures.numpy(), ["lift", "push"])["pixel_values"], inputs["pixel_values"])
    one = policy.preprocess(Image.fromarray(pictures[0].numpy()), "lift")
    assert torch.equal(one["pixel_values"], inputs["pixel_values"][:1])
    assert torch.equal(policy.preprocess(pictures[0], "lift")["pixel_values"], one["pixel_values"])


@pytest.mark.parametrize(
    ("images", "instructions", "message"),
    [
        (torch.zeros(1, 8, 8, 3), ["lift"], r"a picture is uint8 \(H, W, 3\); got float32"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ["lift"], r"got uint8 \(3, 8, 8\)"),
        (torch.zeros(1, 8, 8, 3, dtype=torch.uint8), ["lift", "push"], "got 1 pictures and 2 instructions"),
        (
            {"a": torch.zeros(1, 8, 8, 3, dtype=torch.uint8), "b": torch.zeros(2, 8, 8, 3, dtype=torch.uint8)},
            ["lift"],
            r"the same number of pictures; got \[1, 2\]",
        ),
    ],
)
def test_other_pictures_are_refused(tiny, images, instructions, message):
    with pytest.raises(ValueError, match=message):
        OpenVLA(str(tiny)).preprocess(images, instructions)


def test_without_a_tokenizer_there_are_pixels_and_a_warning(tiny):
    policy = OpenVLA(str(tiny))
    policy.prompter = Prompter(tiny / "nowhere", "openvla", 32000)
    with pytest.warns(UserWarning, match="has no tokenizer.json"):
        inputs = policy.preprocess(torch.zeros(1, 8, 8, 3, dtype=torch.uint8), "lift")
    assert inputs.keys() == {"pixel_values"}


def test_center_crop_drops_the_border_and_keeps_the_middle(tiny):
    picture = np.full((1, 100, 100, 3), 200, np.uint8)
    picture[:, :2] = picture[:, -2:] = 0
    plain, cropped = OpenVLA(str(tiny)), OpenVLA(str(tiny), center_crop=True)
    assert plain.preprocess(picture, "lift")["pixel_values"].std() > 0.1
    of_middle = cropped.preprocess(picture, "lift")["pixel_values"]
    torch.testing.assert_close(of_middle[0, 3], torch.full((28, 28), 200 / 127.5 - 1), rtol=0, atol=1e-6)


def test_preprocessing_without_a_file_is_that_of_the_towers(tiny, tmp_path):
    config = OpenVLA(str(tiny)).architecture
    assert ImageProcessor.from_folder(tmp_path, config) == ImageProcessor.from_folder(tiny, config)
    raw = json.loads((tiny / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**raw, "input_sizes": [[3, 56, 56]] * 2}))
    with pytest.raises(ValueError, match="are not config.json's 28"):
        ImageProcessor.from_folder(tmp_path, config)
    tower = TowerPixels(28, "nearest", (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(ValueError, match="unknown interpolation nearest; known: bicubic"):
        ImageProcessor((tower,), "resize-naive")
    with pytest.raises(ValueError, match="unknown image_resize_strategy 'stretch'"):
        ImageProcessor((), "stretch")


def test_statistics():
    actions = torch.tensor([[0.5, 0.5]])
    assert Statistics(STATISTICS).unnormalize(actions, None).tolist() == [[1.0, 0.5]]
    assert Statistics(STATISTICS, "bounds").unnormalize(actions, "a").tolist() == [[2.0, 0.5]]
    assert Statistics(STATISTICS).action_dim(None) == 2
    own = torch.tensor([[1.0, 0.5], [9.0, 0.5]])
    assert Statistics(STATISTICS).normalize(own, None).tolist() == [[0.5, 0.5], [1.0, 0.5]]
    state = torch.tensor([[5.0], [20.0], [-7.0]])
    assert Statistics(STATISTICS).normalize_proprio(state, None).tolist() == [[0.0], [1.0], [-1.0]]


def test_a_dimension_that_a_data_set_does_not_use_is_zero():
    unused = {"a": {"action": {"q01": [0.3, -1.0], "q99": [0.3, 1.0]}}}
    assert Statistics(unused).normalize(torch.tensor([[0.3, 0.5]]), None).tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize(
    ("dataset", "width", "message"),
    [
        ("b", 2, "no statistics of data set 'b'; known: a"),
        ("a", 3, r"action: the statistics have 2 dimensions; got \(1, 3\)"),
    ],
)
def test_statistics_that_do_not_fit(dataset, width, message):
    with pytest.raises(ValueError, match=message):
        Statistics(STATISTICS).unnormalize(torch.zeros(1, width), dataset)
    with pytest.raises(ValueError, match="several data sets or none, name one"):
        Statistics({**STATISTICS, "b": STATISTICS["a"]}).unnormalize(torch.zeros(1, 2), None)
    with pytest.raises(ValueError, match="unknown normalization 'q95'; known: q99, bounds"):
        Statistics(STATISTICS, "q95")


def test_dataset_statistics_replace_those_of_the_config(tmp_path):
    config = {"norm_stats": {"old": STATISTICS["a"]}}
    assert Statistics.from_folder(tmp_path, config).action_dim("old") == 2
    (tmp_path / "dataset_statistics.json").write_text(json.dumps(STATISTICS))
    with pytest.raises(ValueError, match="no statistics of data set 'old'; known: a"):
        Statistics.from_folder(tmp_path, config).action_dim("old")


def test_data_sets_that_disagree_need_a_choice(tiny, tmp_path):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "two")
    content = json.loads((tiny / "dataset_statistics.json").read_text())
    (folder / "dataset_statistics.json").write_text(json.dumps({**content, **STATISTICS}))
    with pytest.raises(ValueError, match="give action_dim or unnorm_key"):
        OpenVLA(str(folder))
    assert OpenVLA(str(folder), unnorm_key="a").action_dim == 2
    assert OpenVLA(str(folder), action_dim=7).action_dim == 7


def test_critic_starts_as_published():
    torch.manual_seed(0)
    critic = CriticHead(64, 8)
    first, _, second, _, last = critic.layers
    assert [tuple(layer.weight.shape) for layer in (first, second, last)] == [(512, 64), (128, 512), (8, 128)]
    assert last.bias is None
    assert last.weight.std().item() == pytest.approx(0.02, rel=0.1)
    # Kaiming, fan out: variance 2 / outputs.
    assert first.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.05)
    assert second.weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.05)
    assert critic(torch.randn(3, 64, dtype=torch.bfloat16)).shape == (3, 8)


def test_heads_and_sizes_that_do_not_exist_are_refused(tiny):
    with pytest.raises(ValueError, match="unknown head 'diffusion'; known: discrete, l1"):
        OpenVLAOFT(str(tiny), head="diffusion")
    with pytest.raises(ValueError, match="chunk and num_images are at least 1; got 0 and 1"):
        OpenVLAOFT(str(tiny), chunk=0)
    with pytest.raises(ValueError, match=r"whole actions of 7; got \(1, 8\)"):
        OpenVLA(str(tiny)).decode(torch.zeros(1, 8, dtype=torch.int64))
