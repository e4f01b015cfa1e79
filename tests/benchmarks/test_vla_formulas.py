import importlib

import pytest
import torch
from checkpoints import make_openvla
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from feat2go.policies import OpenVLA, OpenVLAOFT
from feat2go.policies.openvla.configuration import OpenVLAConfig


@pytest.fixture(scope="module")
def formulas():
    return importlib.import_module("vla_formulas")


@pytest.fixture(scope="module")
def config_7b():
    return OpenVLAConfig.from_dict(importlib.import_module("vla_size").config_of("7b"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_openvla(tmp_path_factory.mktemp("tiny"), num_kv_heads=2)


@pytest.fixture(scope="module")
def policies(folder):
    return {"openvla": OpenVLA(str(folder)), "openvla_oft": OpenVLAOFT(str(folder), chunk=2, lora_rank=2)}


def work_of(formulas, policy, **settings):
    is_oft = isinstance(policy, OpenVLAOFT)
    return formulas.Workload(policy.architecture, is_oft, 11, chunk=policy.chunk, **settings)


def inputs_of(policy):
    prompt = torch.randint(5, 300, (1, 10), generator=torch.Generator().manual_seed(0))
    prompt[:, 0] = 1
    pixels = torch.zeros(1, 6, 28, 28)
    return {"pixel_values": pixels, "input_ids": prompt, "attention_mask": torch.ones_like(prompt)}


def test_parameters(formulas, policies):
    network = policies["openvla"].network
    linear = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Linear))
    embedding = network.language_model.model.embed_tokens.weight.numel()
    assert formulas.num_parameters(policies["openvla"].architecture) == linear + embedding
    adapted = policies["openvla_oft"]
    lora = sum(p.numel() for name, p in adapted.named_parameters() if ".lora_" in name)
    assert formulas.num_adapter_parameters(adapted.architecture, 2) == lora


@pytest.mark.parametrize("name", ["openvla", "openvla_oft"])
def test_operations_of_a_forward_pass_are_those_that_pytorch_counts(formulas, folder, name):
    policy = OpenVLA(str(folder)) if name == "openvla" else OpenVLAOFT(str(folder), chunk=2)
    tokens = torch.full((1, policy.chunk * 7), 31800)
    # Other kernels of attention are not counted on a CPU.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        policy.evaluate(tokens, **inputs_of(policy))
    work = work_of(formulas, policy)
    expected = formulas.forward_flops(work)
    if name == "openvla":
        # PyTorch counts a causal attention in full.
        text = policy.architecture.text
        expected += text["num_hidden_layers"] * 2 * work.num_positions**2 * text["hidden_size"]
    critic = sum(2 * m.weight.numel() for m in policy.critic.modules() if isinstance(m, nn.Linear))
    assert counter.get_total_flops() == expected + critic


def test_the_cache_saves_all_but_one_pass_over_the_prompt_and_costs_memory(formulas, config_7b):
    work = formulas.Workload(config_7b, False)
    # Keys and values of 293 positions in 32 layers.
    cache = formulas.act_bytes(work, 1, True) - formulas.act_bytes(work, 1, False)
    assert cache == 2 * 2 * 32 * 4096 * 293
    language = 7 * formulas._language_flops(work, 289)
    vision = formulas.act_flops(work) - formulas._language_flops(work, 292)
    assert formulas.act_flops_without_cache(work) == pytest.approx(vision + language, rel=1e-4)


def test_an_update_costs_three_forward_passes_and_under_adapters_a_little_over_two(formulas, config_7b):
    work = formulas.Workload(config_7b, True, chunk=8)
    assert formulas.update_flops(work) == 3 * formulas.forward_flops(work)
    adapted = formulas.Workload(config_7b, True, chunk=8, lora_rank=32)
    assert 2 < formulas.update_flops(adapted) / formulas.forward_flops(work) < 2.1


def test_openvla_7b_has_the_size_that_its_name_says(formulas, config_7b):
    # 7,541 million in the public checkpoint, 43 million of which are never used.
    assert formulas.num_parameters(config_7b) == pytest.approx(7.498e9, rel=1e-3)


def test_a_position_costs_two_operations_per_parameter_and_attention(formulas, config_7b):
    """The rule of Kaplan et al. (2020, arXiv 2001.08361, section 2.1)."""
    short, long = (formulas.Workload(config_7b, False, num_prompt_tokens=n) for n in (30, 31))
    # 32 layers of 202,375,168 weights each; attention over pairs of 294 instead of 293 positions, half of them masked.
    expected = 2 * 32 * 202_375_168 + 32 * 2 * 4096 * (294**2 - 293**2)
    assert formulas.forward_flops(long) - formulas.forward_flops(short) == expected


def test_adapters_of_all_linear_layers_are_those_of_openvlas_own_fine_tuning(formulas, config_7b):
    """110,828,288 parameters at rank 32, of 7,652,065,472 in all.

    With the layers that are never used (a block of each tower, SigLIP's pooling) and both patch embeddings, which are
    convolutions.
    """
    dino, siglip = config_7b.towers
    of_blocks = [inner + outer for tower in (dino, siglip) for inner, outer in formulas._tower_linears(tower)]
    pooling = 2 * 1152 + 3 * 1152 + 2 * 1152 + 2 * (1152 + 4304)
    patches = sum(3 * 14 * 14 + tower.width for tower in (dino, siglip))
    unused = 32 * (sum(of_blocks) + pooling + patches)
    assert formulas.num_adapter_parameters(config_7b, 32) + unused == 110_828_288 == 7_652_065_472 - 7_541_237_184


def test_memory_grows_with_the_batch_and_shrinks_with_checkpointing_and_adapters(formulas, config_7b):
    whole = formulas.Workload(config_7b, True, chunk=8)
    light = formulas.Workload(config_7b, True, chunk=8, lora_rank=32, gradient_checkpointing=True)
    assert formulas.update_bytes(whole, 8) > formulas.update_bytes(whole, 1) > formulas.update_bytes(light, 1)
    # Weights of 15 GB in bf16, and little else.
    assert 14 < formulas.update_bytes(light, 1) / 2**30 < 18
    assert 14 < formulas.act_bytes(light, 1, False) / 2**30 < 16
