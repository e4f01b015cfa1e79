"""Reading and writing checkpoints of the public layout."""

import json
import shutil

import pytest
import torch
from checkpoints import make_openvla
from goldens import FOLDER
from safetensors.torch import load_file, save_file

from feat2go.policies import OpenVLA, OpenVLAOFT, load_policy
from feat2go.policies.openvla.checkpoint import write_weights
from feat2go.policies.openvla.configuration import OpenVLAConfig
from feat2go.policies.openvla.film import read_film
from feat2go.policies.openvla.network import OpenVLANetwork


@pytest.fixture
def broken(tiny, tmp_path):
    """A copy of the tiny checkpoint to damage, and the function that does it."""
    folder = shutil.copytree(tiny, tmp_path / "broken")

    def change(function, file="model.safetensors"):
        tensors = load_file(folder / file)
        function(tensors)
        save_file(tensors, folder / file)
        return folder

    return change


def observe(policy, num_cameras=1):
    pictures = torch.randint(0, 256, (2, 30, 30, 3), generator=torch.Generator().manual_seed(0)).byte()
    images = {str(i): pictures for i in range(num_cameras)}
    return policy.preprocess(images, ["put the red cube on the plate", "lift"], torch.full((2, 8), 0.3))


@pytest.mark.parametrize("folder", ["openvla", "openvla_oft"])
def test_a_saved_checkpoint_has_the_public_names_and_the_same_values(folder, tmp_path):
    """Also of what the network has no use for. The reference files are float16; they say float32."""
    policy = load_policy(FOLDER / folder)
    policy.save_pretrained(tmp_path)
    before, after = (load_file(path / "model.safetensors") for path in (FOLDER / folder, tmp_path))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor.float(), after[name])
    config = json.loads((tmp_path / "config.json").read_text())
    public = json.loads((FOLDER / folder / "config.json").read_text())
    assert config.items() >= public.items()


@pytest.mark.parametrize(
    "settings",
    [
        None,
        {"chunk": 3, "critic_level": "action", "dtype": "bfloat16"},
        {"chunk": 2, "head": "l1", "proprio": True, "num_images": 2, "film": True},
    ],
    ids=["openvla", "discrete bfloat16", "l1 with everything"],
)
def test_a_saved_policy_comes_back_bit_for_bit(tiny, tmp_path, settings):
    policy = OpenVLA(str(tiny)) if settings is None else OpenVLAOFT(str(tiny), **settings)
    policy.save_pretrained(tmp_path / "policy")
    again = load_policy(tmp_path)
    assert type(again) is type(policy)
    assert {**again.config, "checkpoint": str(tiny), "dtype": policy.config["dtype"]} == policy.config
    assert again.state_dict().keys() == policy.state_dict().keys()
    for name, value in policy.state_dict().items():
        assert value.dtype == again.state_dict()[name].dtype
        assert torch.equal(value, again.state_dict()[name])
    inputs = observe(policy, policy.num_images)
    assert torch.equal(policy.act(**inputs).actions, again.act(**observe(again, policy.num_images)).actions)


def test_saving_over_the_folder_that_was_loaded(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "run")
    policy = load_policy(folder)
    policy.save_pretrained(folder)
    again = load_policy(folder)
    for name, value in policy.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (OpenVLA, {"vision_widths": (24,), "vision_depths": (3,)}),
        (OpenVLA, {"num_kv_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 50000.0, "attention_bias": True}),
        (OpenVLAOFT, {"action_dim": 5, "hidden_size": 48, "num_heads": 3, "image_size": 42, "proprio_dim": 3}),
        (OpenVLA, {"tie_word_embeddings": True}),
    ],
    ids=["one tower", "other llama", "other sizes", "tied embeddings"],
)
def test_other_architectures(cls, settings, tmp_path):
    folder = make_openvla(tmp_path / "made", with_extras=False, **settings)
    policy = cls.from_pretrained(folder)
    inputs = observe(policy)
    output = policy.act(**inputs)
    assert output.actions.shape == (2, policy.chunk, settings.get("action_dim", 7))
    logprob = policy.evaluate(output.tokens, **inputs).logprob
    torch.testing.assert_close(logprob, output.logprob, rtol=0, atol=1e-4)
    policy.save_pretrained(tmp_path / "saved")
    assert torch.equal(load_policy(tmp_path / "saved").act(**inputs).tokens, output.tokens)


@pytest.mark.parametrize(("field", "value"), [("rms_norm_eps", 1e-3), ("rope_theta", 100.0), ("hidden_act", "gelu")])
def test_values_of_text_config_are_honoured(broken, tiny, field, value):
    folder = broken(lambda tensors: None)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"][field] = value
    (folder / "config.json").write_text(json.dumps(config))
    changed, plain = OpenVLA.from_pretrained(folder), OpenVLA.from_pretrained(tiny)
    inputs = observe(plain)
    assert not torch.allclose(changed.act(**inputs).logprob, plain.act(**inputs).logprob, atol=1e-5)


def test_shards_are_read_and_written(tiny, tmp_path):
    sharded = make_openvla(tmp_path / "sharded", num_shards=3)
    assert not (sharded / "model.safetensors").exists()
    one, many = OpenVLA.from_pretrained(tiny), OpenVLA.from_pretrained(sharded)
    for name, value in one.state_dict().items():
        if name.startswith("network."):
            assert torch.equal(value, many.state_dict()[name])
    tensors = load_file(tiny / "model.safetensors")
    folder = tmp_path / "written"
    write_weights(folder, tensors, max_shard_size="1MB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == tensors.keys()
    assert len(set(index["weight_map"].values())) > 1
    # A single file takes the place of the shards, and they go.
    write_weights(folder, tensors)
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


def test_a_missing_shard_and_a_wrong_index_are_refused(tmp_path):
    folder = make_openvla(tmp_path, num_shards=2)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    name = next(iter(content["weight_map"]))
    content["weight_map"]["projector.fc9.weight"] = content["weight_map"][name]
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"the shards lack projector\.fc9\.weight"):
        OpenVLA.from_pretrained(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="model-00002-of-00002.safetensors is missing"):
        OpenVLA.from_pretrained(folder)


def test_tensors_that_do_not_fit_are_named(broken):
    name = "language_model.model.layers.1.mlp.up_proj.weight"
    folder = broken(lambda tensors: tensors.update({name: tensors[name][:, :-1].contiguous()}))
    with pytest.raises(
        ValueError, match=r"another shape: .*layers.1.mlp.up_proj.weight \(64, 31\) instead of \(64, 32"
    ):
        OpenVLA.from_pretrained(folder)
    broken(lambda tensors: tensors.pop(name))
    with pytest.raises(ValueError, match=r"missing: language_model.model.layers.1.mlp.up_proj.weight"):
        OpenVLA.from_pretrained(folder)
    broken(lambda tensors: tensors.update({"vision_backbone.featurizer.blocks.7.norm1.weight": torch.ones(2)}))
    with pytest.raises(ValueError, match=r"unexpected: vision_backbone.featurizer.blocks.7.norm1.weight"):
        OpenVLA.from_pretrained(folder)


def test_unused_tensors_must_fit_as_well(broken):
    """A checkpoint with another pooling head is another checkpoint."""
    name = "vision_backbone.fused_featurizer.attn_pool.latent"
    folder = broken(lambda tensors: tensors.pop(name))
    with pytest.raises(ValueError, match=f"missing: {name}"):
        OpenVLA.from_pretrained(folder)


@pytest.mark.parametrize(
    ("settings", "file", "name"),
    [
        ({"head": "l1"}, "action_head.safetensors", "model.fc1.weight"),
        ({"proprio": True}, "proprio_projector.safetensors", "fc2.weight"),
        ({"film": True}, "film.safetensors", "vision_backbone.featurizer.blocks.0.scale.weight"),
    ],
)
def test_extra_files_are_checked_too(broken, settings, file, name):
    folder = broken(lambda tensors: tensors.pop(name), file)
    with pytest.raises(ValueError, match=f"missing: {name}"):
        OpenVLAOFT.from_pretrained(folder, **settings)
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no .*{file.split('.')[0]}|no FiLM weights"):
        OpenVLAOFT.from_pretrained(folder, **settings)


def test_released_extra_files_are_read(tiny, tmp_path):
    """``*--STEP_checkpoint.pt`` with the prefix of a parallel wrapper; the newest step counts."""
    folder = shutil.copytree(tiny, tmp_path / "released")
    for name in ("action_head", "proprio_projector"):
        tensors = load_file(folder / f"{name}.safetensors")
        (folder / f"{name}.safetensors").unlink()
        prefixed = {f"module.{key}": tensor for key, tensor in tensors.items()}
        torch.save(prefixed, folder / f"{name}--150000_checkpoint.pt")
        zeros = {key: torch.zeros_like(tensor) for key, tensor in prefixed.items()}
        torch.save(zeros, folder / f"{name}--5000_checkpoint.pt")
    settings = {"head": "l1", "proprio": True, "chunk": 2}
    ours, released = (OpenVLAOFT.from_pretrained(path, **settings) for path in (tiny, folder))
    inputs = observe(ours)
    assert torch.equal(ours.act(**inputs).actions, released.act(**inputs).actions)
    with pytest.warns(UserWarning, match=r"trained with action_head--.*, which is not used; set head: l1 to use it"):
        OpenVLAOFT.from_pretrained(folder, proprio=True)


def test_released_film_with_adapters_inside_is_merged(tiny, tmp_path):
    """The wrapped backbone: blocks one level down, linear layers split into base and LoRA (scale min(r, 16) / r)."""
    folder = shutil.copytree(tiny, tmp_path / "released")
    weights = load_file(folder / "model.safetensors")
    film = load_file(folder / "film.safetensors")
    (folder / "film.safetensors").unlink()
    layer = "vision_backbone.featurizer.blocks.0.attn.proj"
    down, up = torch.randn(32, 16), torch.randn(16, 32)
    wrapped = dict(film)
    for name, tensor in weights.items():
        if name.startswith("vision_backbone."):
            head, separator, tail = name.partition(".blocks.")
            block, _, rest = tail.partition(".")
            wrapped[f"{head}.blocks.{block}.block.{rest}" if separator else name] = tensor
    inside = layer.replace(".attn", ".block.attn")
    base = wrapped.pop(f"{inside}.weight")
    wrapped[f"{inside}.base_layer.weight"] = base
    wrapped[f"{inside}.base_layer.bias"] = wrapped.pop(f"{inside}.bias")
    wrapped[f"{inside}.lora_A.default.weight"], wrapped[f"{inside}.lora_B.default.weight"] = down, up
    torch.save(
        {f"module.{key}": tensor for key, tensor in wrapped.items()}, folder / "vision_backbone--10_checkpoint.pt"
    )

    tensors = dict(weights)
    read = read_film(folder, tensors, torch.float32)
    assert read.keys() == film.keys()
    assert tensors.keys() == weights.keys()
    torch.testing.assert_close(tensors[f"{layer}.weight"], base + 0.5 * up @ down, rtol=1e-5, atol=1e-5)
    policy = OpenVLAOFT.from_pretrained(folder, film=True)
    assert torch.equal(policy.network.state_dict()[f"{layer}.weight"], tensors[f"{layer}.weight"])


def test_the_public_7b_has_the_published_shapes():
    """No overrides and no sizes in text_config: everything is the defaults'. Built without memory."""
    config = OpenVLAConfig.from_dict(
        {
            "timm_model_ids": ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"],
            "image_sizes": [224, 224],
            "use_fused_vision_backbone": True,
            "text_config": {"model_type": "llama", "vocab_size": 32064, "pad_token_id": 32000},
        }
    )
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in OpenVLANetwork(config).state_dict().items()}
    assert shapes["projector.fc1.weight"] == (8704, 2176)
    assert shapes["projector.fc3.weight"] == (4096, 4096)
    assert shapes["language_model.lm_head.weight"] == (32064, 4096)
    assert shapes["vision_backbone.featurizer.pos_embed"] == (1, 256, 1024)
    assert shapes["vision_backbone.featurizer.blocks.23.ls2.scale_factor"] == (1024,)
    assert shapes["vision_backbone.fused_featurizer.blocks.26.mlp.fc1.weight"] == (4304, 1152)
    # 7,541,237,184 parameters, as the hub counts them for openvla/openvla-7b.
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 7_541_237_184


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timm_model_ids": ["vit_tiny", "vit_so400m_patch14_siglip_224"]}, "unknown vision tower 'vit_tiny'; known:"),
        ({"image_sizes": [28, 56]}, "image_sizes must be equal"),
        ({"timm_override_act_layers": ["quick_gelu", None]}, "timm_override_act_layers must be null"),
        ({"use_fused_vision_backbone": False}, "so 1 timm_model_ids are expected"),
        ({"text_config": {"model_type": "mistral", "vocab_size": 32064}}, "must be a llama; text_config says mistral"),
        ({"vision_backbone_overrides": [{"colour": 1}, {}]}, "can't change colour"),
    ],
)
def test_configs_of_other_networks_are_refused(tiny, change, message):
    raw = json.loads((tiny / "config.json").read_text())
    with pytest.raises(ValueError, match=message):
        OpenVLAConfig.from_dict({**raw, **change})


def test_what_is_no_checkpoint_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match=r"is no OpenVLA checkpoint: config.json is missing"):
        OpenVLA.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a folder nor a hub id that can be fetched"):
        OpenVLA.from_pretrained("nobody/nothing at all")
    with pytest.raises(ValueError, match="dtype must be auto, float32, bfloat16 or float16; got 'int8'"):
        OpenVLA.from_pretrained(tiny, dtype="int8")
    OpenVLAOFT.from_pretrained(tiny).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a saved openvla_oft policy, not openvla"):
        OpenVLA.from_pretrained(tmp_path)


def test_dtype_is_the_config_s_or_what_is_asked(tiny):
    assert OpenVLA.from_pretrained(tiny).network.dtype == torch.float32
    for dtype in ("bfloat16", torch.bfloat16):
        policy = OpenVLA.from_pretrained(tiny, dtype=dtype)
        assert policy.network.dtype == torch.bfloat16
        assert next(policy.critic.parameters()).dtype == torch.float32
