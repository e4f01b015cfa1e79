"""Tiny random models of the families that people use; parity of the real weights was not tried."""

import json
import sys
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from feat2go.registry import VALUES
from feat2go.values import FrozenValue, Qwen3VLValue, ValueNetwork, VLMValue, expectation
from feat2go.values.prefix import common_prefix, last_hidden, last_hidden_shared
from feat2go.values.vlm_processor import PromptProcessor

FAMILIES = ["qwen3_vl", "qwen2_5_vl", "smolvlm", "internvl", "paligemma"]
# Their text sees what follows it, so nothing can be computed before the image is known.
LOOKS_AHEAD = {"paligemma"}
IMAGES = torch.randint(0, 256, (4, 20, 28, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INSTRUCTION = ["put the carrot on the plate", "stack {image}", "put the carrot on the plate", "open it"]


@pytest.fixture
def make_factory(tiny_vlm):
    def make(family="qwen3_vl", cls=VLMValue, **arguments):
        return partial(cls, model=str(tiny_vlm(family)), num_bins=11, head_width=8, **arguments)

    return make


@pytest.fixture
def make(make_factory):
    def make(*args, **arguments):
        torch.manual_seed(0)
        return make_factory(*args, **arguments)()

    return make


def test_the_registered_names():
    assert VALUES.get("hf_vlm") is VLMValue
    assert VALUES.get("qwen3_vl") is Qwen3VLValue


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_sees_image_and_instruction(make, family):
    network = make(family).eval()
    assert isinstance(network, ValueNetwork)
    logits = network(network.prepare(IMAGES), INSTRUCTION)
    assert logits.shape == (4, 11)
    assert logits.dtype == torch.float32
    other_image = network(network.prepare(255 - IMAGES), INSTRUCTION)
    assert (logits - other_image).abs().amax(dim=1).min() > 1e-6
    swapped = network(network.prepare(IMAGES), ["close it", *INSTRUCTION[1:]])
    assert (logits[0] - swapped[0]).abs().max() > 1e-6
    torch.testing.assert_close(logits[1:], swapped[1:])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_gives_what_its_rows_give_alone(make, family):
    """So padding reaches nothing, and images go to their own rows."""
    network = make(family).eval()
    together = network(IMAGES, INSTRUCTION)
    alone = [network(IMAGES[i : i + 1], INSTRUCTION[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shared_prefix_changes_nothing_and_saves_tokens(make, family):
    network = make(family).eval()
    inputs = network._processor(IMAGES, INSTRUCTION)
    lengths = []
    hook = network.backbone.get_input_embeddings().register_forward_hook(
        lambda module, args, output: lengths.append(output.shape[0] * output.shape[1])
    )
    with torch.no_grad():
        whole = last_hidden(network.backbone, inputs)
        num_whole = sum(lengths)
        lengths.clear()
        shared = last_hidden_shared(network.backbone, inputs)
    hook.remove()
    torch.testing.assert_close(shared, whole, rtol=1e-5, atol=1e-5)
    prefix = 0 if family in LOOKS_AHEAD else common_prefix(inputs, network.backbone.config.image_token_id)
    assert sum(lengths) == num_whole - 3 * prefix
    assert (prefix > 100) == (family not in LOOKS_AHEAD)


def test_predictions_share_the_prefix_and_training_does_not(make, monkeypatch):
    network = make().eval()
    calls = []
    for name in ("last_hidden", "last_hidden_shared"):
        original = getattr(sys.modules["feat2go.values.prefix"], name)
        monkeypatch.setattr(
            f"feat2go.values.vlm.{name}", lambda *args, n=name, f=original: (calls.append(n), f(*args))[1]
        )
    with torch.no_grad():
        network(IMAGES, INSTRUCTION)
    network(IMAGES, INSTRUCTION)
    network.share_prefix = False
    with torch.no_grad():
        network(IMAGES, INSTRUCTION)
    assert calls == ["last_hidden_shared", "last_hidden", "last_hidden"]


def test_the_common_prefix_ends_where_rows_differ_or_the_image_begins():
    ids = torch.tensor([[5, 6, 7, 9, 9, 1], [5, 6, 7, 9, 9, 2]])
    assert common_prefix({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, image_token_id=9) == 3
    ids[1, 1] = 8
    assert common_prefix({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, image_token_id=9) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_hidden_state_is_that_of_transformers_own_model(make, tiny_vlm, family):
    network = make(family).eval()
    original = AutoModelForImageTextToText.from_pretrained(tiny_vlm(family))
    inputs = network._processor(IMAGES[:1], INSTRUCTION[:1])
    with torch.no_grad():
        hidden = original(**inputs, output_hidden_states=True).hidden_states[-1][:, -1]
        expected = network.head(hidden)
        torch.testing.assert_close(network(IMAGES[:1], INSTRUCTION[:1]), expected, rtol=1e-5, atol=1e-5)


def test_the_prompt_is_a_template_around_image_and_instruction(tiny_vlm):
    folder = str(tiny_vlm("qwen3_vl"))
    processor = PromptProcessor(folder, "Judge.", "Task: {instruction}.{image}How far?")
    inputs = processor(IMAGES[:1], ["wipe {it}"])
    text = processor._processor.tokenizer.decode(inputs["input_ids"][0])
    assert text == (
        "<|im_start|>system\nJudge.<|im_end|>\n<|im_start|>user\nTask: wipe {it}.<|vision_start|>"
        + text.count("<|image_pad|>") * "<|image_pad|>"
        + "<|vision_end|>How far?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert "system" not in PromptProcessor(folder, "", "{image}{instruction}")._text
    assert processor.fingerprint != PromptProcessor(folder, "Judge!", "Task: {instruction}.{image}How far?").fingerprint
    assert processor.fingerprint == PromptProcessor(folder, "Judge.", "Task: {instruction}.{image}How far?").fingerprint


@pytest.mark.parametrize("family", ["smolvlm", "internvl"])
def test_a_frame_is_not_cut_into_tiles(make, family):
    network = make(family)
    inputs = network._processor(IMAGES, INSTRUCTION)
    assert int((inputs["input_ids"] == network.backbone.config.image_token_id).sum()) == 4 * 4


@pytest.mark.parametrize("prompt", ["{image} how far?", "{instruction}", "{image}{image}{instruction}"])
def test_a_prompt_without_its_placeholders_is_refused(tiny_vlm, prompt):
    with pytest.raises(ValueError, match="user_prompt needs"):
        VLMValue(str(tiny_vlm("qwen3_vl")), user_prompt=prompt)


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="can't be loaded as an image-text model"):
        VLMValue(str(tmp_path))


def test_frames_of_another_kind_are_refused(make):
    with pytest.raises(ValueError, match=r"uint8 \(B, H, W, 3\), got torch.float32"):
        make().prepare(IMAGES.float())


def test_all_parameters_are_trained_and_saved_by_default(make):
    network = make().train()
    network(IMAGES, INSTRUCTION).logsumexp(dim=1).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.state_dict().keys() == dict(network.named_parameters()).keys()


def test_with_adapters_the_base_is_frozen_and_left_out(make):
    network = make(cls=Qwen3VLValue, lora_rank=2).train()
    assert network.backbone.dtype == torch.bfloat16
    network(IMAGES, INSTRUCTION).logsumexp(dim=1).sum().backward()
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert trained.keys() == network.state_dict().keys()
    assert all(p.grad is not None and p.dtype == torch.float32 for p in trained.values())
    assert all(".lora_" in name or name.startswith("head.") for name in trained)
    assert not any("visual" in name for name in trained)
    assert network.fingerprints.keys() == {"prompt", "backbone"}


def test_gradient_checkpointing_gives_the_same_gradients(make):
    gradients = []
    for is_on in (False, True):
        network = make(gradient_checkpointing=is_on)
        assert network.backbone.training
        network(IMAGES, INSTRUCTION).logsumexp(dim=1).sum().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("arguments", [{}, {"lora_rank": 2, "dtype": "bfloat16"}], ids=["full", "lora"])
def test_what_is_saved_loads_as_a_folder_and_predicts_the_same(make_factory, tmp_path, arguments):
    factory = make_factory(**arguments)
    torch.manual_seed(0)
    network = factory()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01 * torch.randn_like(parameter))
    value = FrozenValue(network, factory)
    value.save(tmp_path / "value")
    assert sorted(path.name for path in (tmp_path / "value").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    loaded = FrozenValue.load(tmp_path / "value")
    saved = load_file(tmp_path / "value" / "model.safetensors")
    assert saved.keys() == loaded.network.state_dict().keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in loaded.network.state_dict().items())
    predicted = value.predict(IMAGES, INSTRUCTION)
    # The alignment of memory decides the last digit.
    torch.testing.assert_close(loaded.predict(IMAGES, INSTRUCTION), predicted, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(predicted, expectation(network(IMAGES, INSTRUCTION)), rtol=1e-5, atol=1e-6)


def test_another_base_or_prompt_is_refused(make_factory, tiny_vlm, tmp_path):
    factory = make_factory(lora_rank=2)
    FrozenValue(factory(), factory).save(tmp_path / "value")
    path = tmp_path / "value" / "config.json"
    config = json.loads(path.read_text())
    config["network"]["init_args"]["system_prompt"] = "Be kind."
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="the prompt of the value model"):
        FrozenValue.load(tmp_path / "value")
