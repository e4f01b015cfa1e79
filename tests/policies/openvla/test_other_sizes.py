"""Checkpoints of other sizes against the original code.

``tests/golden/other_sizes.safetensors`` holds what the original classes (tests/golden/notes.md, section 9) compute with
the weights that ``make_openvla`` draws for the sizes below, in float32. Other draws would need the original code again.
"""

import json

import pytest
import torch
from checkpoints import make_openvla
from goldens import FOLDER, near
from safetensors.torch import load_file, save_file

from feat2go.policies import OpenVLA, OpenVLAOFT

LAYERS = {"num_layers": 3, "num_heads": 6, "num_kv_heads": 2, "hidden_size": 48, "intermediate_size": 100}
OPENVLA = {
    "grouped_keys": {
        **LAYERS, "vision_widths": (32, 40), "vision_depths": (3, 4), "vision_heads": 4, "image_size": 56,
    },
    "one_tower": {
        "vision_widths": (24,), "vision_depths": (3,), "rope_theta": 50000.0, "rms_norm_eps": 1e-5,
        "attention_bias": True, "hidden_act": "gelu",
    },
    "padded_vocabulary": {"vocab_size": 32128, "pad_token_id": 32000, "seed": 3},
    "tied_embeddings": {"tie_word_embeddings": True, "rope_scaling": {"type": "linear", "factor": 2.0}, "seed": 4},
    "bfloat16_shards": {"dtype": "bfloat16", "seed": 7, "image_size": 70, "num_shards": 3},
}  # fmt: skip
# The sizes, and what the three robots of the original have: chunk, number of pictures, what -1 and 1 mean.
OFT = {
    "bridge": (
        {"hidden_size": 48, "num_heads": 6, "num_kv_heads": 3, "image_size": 42, "proprio_dim": 7, "seed": 1},
        {"chunk": 5, "num_images": 3},
    ),
    "aloha": (
        {
            "action_dim": 14, "proprio_dim": 14, "rope_theta": 500.0, "rms_norm_eps": 1e-4, "vision_depths": (4, 3),
            "seed": 2,
        },
        {"chunk": 25, "num_images": 2, "normalization": "bounds"},
    ),
    "one_tower_oft": (
        {
            "hidden_size": 24, "num_heads": 2, "image_size": 56, "vision_widths": (24,), "vision_depths": (3,),
            "num_layers": 4, "seed": 3,
        },
        {"chunk": 8},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def stored():
    return load_file(FOLDER / "other_sizes.safetensors")


@pytest.fixture
def of(stored):
    """What is stored of one size."""
    return lambda name: {k.partition(".")[2]: v for k, v in stored.items() if k.startswith(f"{name}.")}


def make(folder, name, sizes):
    make_openvla(folder, with_extras=name in OFT, **sizes)
    if name == "padded_vocabulary":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "pad_to_multiple_of": 128}))
    if name == "tied_embeddings":
        tensors = load_file(folder / "model.safetensors")
        del tensors["language_model.lm_head.weight"]
        save_file(tensors, folder / "model.safetensors")
    return folder


def pixels_of(policy, seed):
    side, channels = policy.architecture.image_size, 3 * len(policy.architecture.towers) * policy.num_images
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(seed))


def prompt_of(golden, row):
    """Without the empty piece, which is appended."""
    ids = golden["ids"][row : row + 1, : golden["lengths"][row]]
    return ids, torch.ones_like(ids)


def require_states(policy, golden, pixels, tolerance):
    with torch.no_grad():
        found = policy.network(pixels, golden["ids"], golden["mask"])
    near(found.projected_patches, golden["projected_patches"], 2e-5)
    num_seen = found.projected_patches.shape[1]
    is_real = torch.cat([torch.ones(2, num_seen), golden["mask"]], dim=1).bool()
    near(found.hidden_states_last[is_real], golden["hidden"][is_real], tolerance)
    return found


@pytest.mark.parametrize("name", OPENVLA)
def test_openvla(name, of, tmp_path):
    golden = of(name)
    policy = OpenVLA.from_pretrained(make(tmp_path, name, OPENVLA[name]), dtype="float32").eval()
    pixels = pixels_of(policy, 11)
    found = require_states(policy, golden, pixels, 2e-4)
    near(found.patch_features, golden["patch_features"], 2e-5)
    for row in range(2):
        seen = (pixels[row : row + 1], *prompt_of(golden, row))
        with torch.no_grad():
            logprob = policy.log_prob(*seen, golden["tokens"][row : row + 1])
        near(logprob[0], golden["logprob"][row], 3e-4)
        output = policy.act(*seen, action_tokens_only=False)
        assert torch.equal(output.tokens[0], golden[f"generated{row}"])
        near(policy.unnormalize(output.actions)[0, 0], golden[f"actions{row}"], 2e-4)


@pytest.mark.parametrize("name", OFT)
def test_openvla_oft(name, of, tmp_path):
    golden, (sizes, settings) = of(name), OFT[name]
    folder = make(tmp_path, name, sizes)
    discrete = OpenVLAOFT.from_pretrained(folder, **settings).eval()
    pixels = pixels_of(discrete, 12)
    require_states(discrete, golden, pixels, 1e-3)
    with_l1 = {**settings, "head": "l1", "proprio": True}
    l1, film = (OpenVLAOFT.from_pretrained(folder, film=film, **with_l1).eval() for film in (False, True))
    for row in range(2):
        seen, proprio = (pixels[row : row + 1], *prompt_of(golden, row)), golden["proprio"][row : row + 1]
        with torch.no_grad():
            logprob = discrete.log_prob(*seen, golden["tokens"][row : row + 1])
        near(logprob[0], golden["logprob"][row], 1e-3)
        output = discrete.act(*seen, action_tokens_only=False)
        assert torch.equal(output.tokens[0], golden[f"generated{row}"])
        near(discrete.unnormalize(output.actions)[0], golden[f"disc{row}"], 2e-4)
        near(l1.unnormalize(l1.act(*seen, proprio=proprio).actions)[0], golden[f"l1{row}"], 2e-4)
        near(film.unnormalize(film.act(*seen, proprio=proprio).actions)[0], golden[f"film{row}"], 2e-4)
