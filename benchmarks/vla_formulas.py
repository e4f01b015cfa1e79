"""Parameters, floating-point operations and memory of OpenVLA and OpenVLA-OFT, by formula.

Operations are those of matrix products, 2 for each multiply-add; norms, activations and softmax are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from feat2go.policies.openvla.configuration import OpenVLAConfig, TowerConfig

GIB = 2**30
BF16, FLOAT32 = 2, 4


@dataclass(frozen=True)
class Workload:
    """What one policy is asked to do.

    Attributes:
        config: of the network.
        is_oft: all tokens of a chunk in one pass, or token by token.
        num_prompt_tokens: with the first one and the last, empty piece.
        chunk, action_dim: C and A.
        lora_rank: 0 where the whole network learns.
        gradient_checkpointing: whether updates compute activations twice.
    """

    config: OpenVLAConfig
    is_oft: bool
    num_prompt_tokens: int = 30
    chunk: int = 1
    action_dim: int = 7
    lora_rank: int = 0
    gradient_checkpointing: bool = False

    @property
    def num_action_tokens(self) -> int:
        return self.chunk * self.action_dim

    @property
    def num_positions(self) -> int:
        """Of the sequence that an update goes through; OpenVLA-OFT's ends in a stop token."""
        num_patches = self.config.towers[0].num_patches
        return num_patches + self.num_prompt_tokens + self.num_action_tokens + (1 if self.is_oft else 0)


def linear_shapes(config: OpenVLAConfig) -> list[tuple[int, int]]:
    """(in, out) of every linear layer that takes part, those of the vision blocks that are used among them."""
    shapes = [shape for tower in config.towers for shape in _tower_linears(tower) * (tower.depth - 1)]
    width = config.text["hidden_size"]
    first = 4 * config.vision_width if config.is_fused else width
    shapes += [(config.vision_width, first), (first, width)] + ([(width, width)] if config.is_fused else [])
    shapes += _layer_linears(config) * config.text["num_hidden_layers"]
    return [*shapes, (width, config.text["vocab_size"])]


def num_parameters(config: OpenVLAConfig) -> int:
    """Of the linear layers that take part and of the embeddings: all but a thousandth."""
    embeddings = config.text["vocab_size"] * config.text["hidden_size"]
    return sum(inner * outer for inner, outer in linear_shapes(config)) + embeddings


def num_adapter_parameters(config: OpenVLAConfig, rank: int) -> int:
    """Of adapters on all linear layers."""
    return sum(rank * (inner + outer) for inner, outer in linear_shapes(config))


def forward_flops(work: Workload) -> float:
    """Of one sample, through the whole network once."""
    config = work.config
    vision = sum(_tower_flops(tower) for tower in config.towers)
    projector = 2 * config.towers[0].num_patches * _projector_size(config)
    return vision + projector + _language_flops(work, work.num_positions) + _head_flops(work)


def act_flops(work: Workload) -> float:
    """Of one sample's chunk of actions, with a key-value cache where there are several passes.

    The second pass in which ``openvla`` takes the log-probs of sampled tokens is left out: it is how we do it, not what
    has to be done.
    """
    # The last token is chosen, not read.
    return forward_flops(work) if work.is_oft else forward_flops(work) - _last_token_flops(work)


def act_flops_without_cache(work: Workload) -> float:
    """Of one sample's action token by token, the whole sequence again for each."""
    last = work.num_positions - 1
    again = sum(_language_flops(work, last - i) for i in range(1, work.num_action_tokens))
    return act_flops(work) + again


def update_flops(work: Workload) -> float:
    """Of one sample forward and backward; activations that are computed twice count once.

    Under adapters, the backward pass needs the gradients of activations but not those of the frozen weights.
    """
    passes = 2 if work.lora_rank else 3
    adapters = 2 * 3 * num_adapter_parameters(work.config, work.lora_rank) * work.num_positions
    return passes * forward_flops(work) + (adapters if work.lora_rank else 0)


def update_bytes(work: Workload, batch_size: int) -> float:
    """Peak memory of an update: weights in bf16, gradients, two moments of Adam, activations.

    Adapters, their gradients and moments are float32. Activations are counted as what a block keeps for its backward
    pass, 16 vectors of its width and 4 of its MLP's for each position; with gradient checkpointing, a block keeps its
    input, and one block at a time keeps the rest.
    """
    config, size = work.config, num_parameters(work.config)
    learned = num_adapter_parameters(config, work.lora_rank)
    weights = size * BF16 + learned * 4 * FLOAT32 if work.lora_rank else size * 4 * BF16
    rows = [(tower.width, tower.mlp_width, tower.depth - 1, _tower_positions(tower)) for tower in config.towers]
    text = config.text
    rows.append((text["hidden_size"], text["intermediate_size"], text["num_hidden_layers"], work.num_positions))
    blocks = [BF16 * positions * (16 * width + 4 * mlp) for width, mlp, _, positions in rows]
    if work.gradient_checkpointing:
        activations = max(blocks) + sum(depth * BF16 * positions * width for width, _, depth, positions in rows)
    else:
        activations = sum(depth * block for block, (_, _, depth, _) in zip(blocks, rows, strict=True))
    logits = work.num_action_tokens * text["vocab_size"] * 3 * FLOAT32
    return weights + batch_size * (activations + logits)


def act_bytes(work: Workload, batch_size: int, has_cache: bool) -> float:
    """Peak memory of a rollout: weights in bf16, keys and values, one block's activations."""
    text = work.config.text
    width, layers = text["hidden_size"], text["num_hidden_layers"]
    cache = BF16 * 2 * layers * width * work.num_positions if has_cache else 0
    block = BF16 * work.num_positions * (8 * width + 3 * text["intermediate_size"])
    logits = work.num_action_tokens * text["vocab_size"] * 2 * FLOAT32
    adapters = num_adapter_parameters(work.config, work.lora_rank) * FLOAT32
    return num_parameters(work.config) * BF16 + adapters + batch_size * (cache + block + logits)


def _tower_linears(tower: TowerConfig) -> list[tuple[int, int]]:
    width = tower.width
    return [(width, 3 * width), (width, width), (width, tower.mlp_width), (tower.mlp_width, width)]


def _layer_linears(config: OpenVLAConfig) -> list[tuple[int, int]]:
    text = config.text
    width, inner = text["hidden_size"], text["intermediate_size"]
    heads = text["num_attention_heads"]
    of_keys = width // heads * text.get("num_key_value_heads", heads)
    attention = [(width, width), (width, of_keys), (width, of_keys), (width, width)]
    return [*attention, (width, inner), (width, inner), (inner, width)]


def _tower_positions(tower: TowerConfig) -> int:
    return tower.num_patches + tower.num_registers + tower.has_class_token


def _tower_flops(tower: TowerConfig) -> float:
    positions = _tower_positions(tower)
    blocks = 2 * positions * sum(inner * outer for inner, outer in _tower_linears(tower))
    attention = 4 * positions**2 * tower.width
    patches = 2 * tower.num_patches * 3 * tower.patch_size**2 * tower.width
    return (tower.depth - 1) * (blocks + attention) + patches


def _projector_size(config: OpenVLAConfig) -> int:
    width = config.text["hidden_size"]
    first = 4 * config.vision_width if config.is_fused else width
    return config.vision_width * first + first * width + (width * width if config.is_fused else 0)


def _language_flops(work: Workload, positions: int) -> float:
    text = work.config.text
    layer = 2 * positions * sum(inner * outer for inner, outer in _layer_linears(work.config))
    # Half of a causal attention is masked away.
    attention = (4 if work.is_oft else 2) * positions**2 * text["hidden_size"]
    return text["num_hidden_layers"] * (layer + attention)


def _last_token_flops(work: Workload) -> float:
    return _language_flops(work, work.num_positions) - _language_flops(work, work.num_positions - 1)


def _head_flops(work: Workload) -> float:
    return 2 * work.num_action_tokens * work.config.text["hidden_size"] * work.config.text["vocab_size"]
