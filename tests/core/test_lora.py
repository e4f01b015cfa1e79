import json
import re

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn

from feat2go.core.lora import adapter_state, add_lora, is_adapted, load_adapter, merge_lora, save_adapter


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(8, 8)
        self.fc = nn.Linear(8, 8, bias=False)

    def forward(self, x):
        return x + self.fc(torch.tanh(self.q_proj(x)))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 8)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.norm = nn.LayerNorm(8)
        self.lm_head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.fc(x)
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


@pytest.fixture
def x():
    return torch.randn(3, 6, generator=torch.Generator().manual_seed(1))


def learn(network, x):
    """Some steps, so that the adapters do something."""
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(x).square().sum().backward()
        optimizer.step()


ALL = ["fc", "blocks.0.q_proj", "blocks.0.fc", "blocks.1.q_proj", "blocks.1.fc", "lm_head"]


@pytest.mark.parametrize(
    ("targets", "exclude", "adapted"),
    [
        ("all-linear", [], ALL),
        ("all-linear", ["lm_head"], ALL[:-1]),
        ("blocks", [], ALL[1:5]),
        (["q_proj", "lm_head"], [], ["blocks.0.q_proj", "blocks.1.q_proj", "lm_head"]),
        (["fc"], ["blocks.1"], ["fc", "blocks.0.fc"]),
        (["blocks.1.fc"], [], ["blocks.1.fc"]),
    ],
)
def test_targets_are_parts_of_names(network, targets, exclude, adapted):
    assert add_lora(network, 2, 2, targets, exclude) == adapted
    assert {name.rpartition(".lora_")[0] for name in adapter_state(network)} == set(adapted)


def test_a_name_at_the_root_is_not_taken_for_the_end_of_another(network):
    assert add_lora(network, 2, 2, ["fc"], ["blocks"]) == ["fc"]
    assert type(network.blocks[0].fc) is nn.Linear


def test_the_start_is_the_network_as_it_was_and_only_adapters_learn(network, x):
    before = network(x)
    frozen = {name: value.clone() for name, value in network.state_dict().items()}
    add_lora(network, 2, 4)
    assert torch.equal(network(x), before)
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {
        name for name, _ in network.named_parameters() if ".lora_" in name
    }
    learn(network, x)
    assert not torch.allclose(network(x), before, atol=1e-3)
    for name, value in network.state_dict().items():
        if ".lora_" not in name:
            assert torch.equal(value, frozen[name.replace(".base_layer", "")])


def test_the_adapters_add_alpha_over_rank_times_b_a(network, x):
    add_lora(network, 2, 6, ["lm_head"])
    layer = network.lm_head
    nn.init.normal_(layer.lora_B["default"].weight)
    hidden = torch.randn(4, 8)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert a.shape == (2, 8)
    torch.testing.assert_close(layer(hidden), layer.base_layer(hidden) + 3 * hidden @ a.T @ b.T)


def test_the_gaussian_start_has_deviation_one_over_the_rank():
    wide = nn.Sequential(nn.Linear(4096, 4))
    torch.manual_seed(0)
    add_lora(wide, 8, 8, init="gaussian")
    a = wide[0].lora_A["default"].weight
    # 32,768 draws: the estimate of the deviation is off by 0.4 % on average.
    assert float(a.detach().std()) == pytest.approx(1 / 8, rel=0.02)
    assert not wide[0].lora_B["default"].weight.any()


def test_a_bf16_base_stays_one_and_its_adapters_are_float32(network, x):
    network.bfloat16()
    add_lora(network, 2, 2)
    for name, parameter in network.named_parameters():
        assert parameter.dtype == (torch.float32 if ".lora_" in name else torch.bfloat16)
    out = network(x.bfloat16())
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in network.parameters() if p.requires_grad)


def test_merged_computes_the_same_and_is_a_plain_network_again(network, x):
    names = set(network.state_dict())
    add_lora(network, 2, 4)
    learn(network, x)
    expected = network(x)
    merge_lora(network)
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
    assert set(network.state_dict()) == names
    assert not is_adapted(network)
    add_lora(network, 2, 4)


def test_adapters_are_saved_alone_and_loaded(network, x, tmp_path):
    base = Network()
    base.load_state_dict(network.state_dict())
    again = Network()
    again.load_state_dict(network.state_dict())
    add_lora(network, 2, 4, exclude=["lm_head"])
    learn(network, x)
    save_adapter(network, tmp_path, base="somewhere/base")
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(value.numel() for value in stored.values()) == sum(
        p.numel() for p in network.parameters() if p.requires_grad
    )
    load_adapter(again, tmp_path)
    assert torch.equal(again(x), network(x))
    # peft itself reads it too.
    assert torch.equal(PeftModel.from_pretrained(base, tmp_path)(x), network(x))


def test_adapters_that_peft_saved_are_read(network, x, tmp_path):
    from peft import LoraConfig, get_peft_model

    again = Network()
    again.load_state_dict(network.state_dict())
    peft_model = get_peft_model(network, LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj"]))
    learn(peft_model, x)
    peft_model.save_pretrained(tmp_path)
    load_adapter(again, tmp_path)
    torch.testing.assert_close(again(x), peft_model(x))


def test_adapters_that_do_not_fit_are_named(network, tmp_path):
    add_lora(network, 2, 4, ["q_proj"])
    save_adapter(network, tmp_path)
    other = Network()
    add_lora(other, 2, 4, ["lm_head"])
    with pytest.raises(ValueError, match=re.escape("missing: lm_head.lora_A.weight, lm_head.lora_B.weight")):
        load_adapter(other, tmp_path)
    wider = Network()
    add_lora(wider, 3, 6, ["q_proj"])
    with pytest.raises(ValueError, match=re.escape("of another shape: blocks.0.q_proj.lora_A.weight")):
        load_adapter(wider, tmp_path)


def test_adapters_are_loaded_into_the_layers_that_they_are_named_after(network, x, tmp_path):
    again = Network()
    again.load_state_dict(network.state_dict())
    add_lora(network, 2, 2, ["fc"], ["blocks"])
    learn(network, x)
    save_adapter(network, tmp_path)
    load_adapter(again, tmp_path)
    assert torch.equal(again(x), network(x))
    with pytest.raises(ValueError, match="are for layers that are not there: fc"):
        load_adapter(nn.Sequential(nn.Linear(6, 8)), tmp_path)


def test_adapters_of_another_scale_are_refused(network, tmp_path):
    add_lora(network, 2, 4, ["q_proj"])
    save_adapter(network, tmp_path)
    other = Network()
    add_lora(other, 2, 2, ["q_proj"])
    with pytest.raises(ValueError, match="were trained with alpha / rank = 2; here it is 1"):
        load_adapter(other, tmp_path)


def test_another_kind_of_adapter_is_refused(network, tmp_path):
    add_lora(network, 2, 4)
    save_adapter(network, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    with pytest.raises(ValueError, match="use_dora; plain LoRA is what can be read"):
        load_adapter(Network(), tmp_path)
    with pytest.raises(FileNotFoundError, match="adapter_config.json is missing"):
        load_adapter(Network(), tmp_path / "nowhere")


def test_a_wrong_name_is_answered_with_the_right_ones(network):
    with pytest.raises(ValueError, match=re.escape("has 'q_prj' in its name.")) as raised:
        add_lora(network, 2, 2, ["q_prj"])
    assert "Did you mean 'q_proj'? Known: all-linear, blocks, fc, lm_head, q_proj" in str(raised.value)
    with pytest.raises(ValueError, match="'norm'"):
        add_lora(network, 2, 2, exclude=["norm"])
    with pytest.raises(ValueError, match="unknown initialisation 'pissa'"):
        add_lora(network, 2, 2, init="pissa")
    with pytest.raises(ValueError, match="rank is at least 1"):
        add_lora(network, 0, 2)
    assert not is_adapted(network)
