"""Speed and memory of OpenVLA and OpenVLA-OFT, in rollouts and updates, with random weights.

python benchmarks/vla_size.py --output benchmarks/results/vla_size.json

On a GPU: the shapes of OpenVLA-7B in bf16, for batch sizes 1 to 128, with and without LoRA, key-value cache and
gradient checkpointing, and one PPO iteration of 64 environments x 80 steps of OFT chunks. On a CPU: the same at a tiny
size, which says nothing about 7B but that all of it runs. The estimate by formula for 7B stands beside either, marked
as such; where no GPU could be had, it is all there is. ``python docs/make_size.py`` makes docs/size.md of the result.

MFU is the model's own operations (benchmarks/vla_formulas.py) per second, over what the GPU can do in bf16 without
sparsity.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from record import write
from rich.console import Console
from rich.table import Table
from torch import Tensor
from vla_formulas import (
    GIB,
    Workload,
    act_bytes,
    act_flops,
    act_flops_without_cache,
    num_parameters,
    update_bytes,
    update_flops,
)

from feat2go.policies.openvla import OpenVLA, OpenVLAOFT, base
from feat2go.policies.openvla.configuration import OpenVLAConfig
from feat2go.policies.openvla.loading import drop_unused
from feat2go.policies.openvla.network import OpenVLANetwork
from feat2go.policies.openvla.prompts import complete_prompt, mask_of

RESULT = Path(__file__).parent / "results" / "vla_size.json"
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
# On a CPU. Sizes and repeats are only there to be gone through.
TINY_BATCH_SIZES = (1, 8)
REPEATS = {"7b": 3, "tiny": 1}
# Of NVIDIA's data sheets: bf16, dense, in operations per second.
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
TOWERS = ("vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224")
LLAMA_7B = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32064,
    "pad_token_id": 32000,
}
LLAMA_TINY = {**LLAMA_7B, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TINY_TOWERS = [{"embed_dim": 32, "depth": 3, "num_heads": 2}] * 2
ITERATIONS = {
    "7b": {"num_envs": 64, "num_steps": 80, "batch_size": 32},
    "tiny": {"num_envs": 4, "num_steps": 16, "batch_size": 4},
}
CHUNK = 8
LORA_RANK = 32


def config_of(size: str) -> dict[str, Any]:
    """config.json of OpenVLA-7B, or of something tiny."""
    is_tiny = size == "tiny"
    return {
        "model_type": "openvla",
        "timm_model_ids": TOWERS,
        "image_sizes": [56 if is_tiny else 224] * 2,
        "use_fused_vision_backbone": True,
        "text_config": LLAMA_TINY if is_tiny else LLAMA_7B,
        "vision_backbone_overrides": TINY_TOWERS if is_tiny else None,
        "norm_stats": {"random": {"action": {"q01": [-1.0] * 7, "q99": [1.0] * 7}}},
    }


def workloads(size: str) -> Iterator[Workload]:
    """Both policies, with and without LoRA and gradient checkpointing."""
    config = OpenVLAConfig.from_dict(config_of(size))
    for is_oft, rank, recomputes in itertools.product((False, True), (0, LORA_RANK), (False, True)):
        chunk = CHUNK if is_oft else 1
        yield Workload(config, is_oft, chunk=chunk, lora_rank=rank, gradient_checkpointing=recomputes)


def build(work: Workload, size: str, device: torch.device) -> Any:
    """A policy with random weights; bf16, its adapters float32."""

    def random_network(_: Any, config: Any, dtype: torch.dtype, is_causal: bool, film: bool) -> tuple[Any, dict]:
        with torch.device("meta"):
            network = OpenVLANetwork(config, is_causal, film).to(dtype)
        drop_unused(network, network.state_dict())
        network.to_empty(device=device)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        return network, {}

    # The weights' values don't matter here, and 15 GB of them need no disk.
    base.load_network = random_network
    settings: dict[str, Any] = {"chunk": work.chunk} if work.is_oft else {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config_of(size)))
        return (OpenVLAOFT if work.is_oft else OpenVLA)(
            folder,
            dtype="bfloat16",
            lora_rank=work.lora_rank,
            gradient_checkpointing=work.gradient_checkpointing,
            **settings,
        ).to(device)


def inputs_of(work: Workload, batch_size: int, device: torch.device) -> dict[str, Tensor]:
    """Random pixels and prompts."""
    side = work.config.image_size
    prompt = torch.randint(3, 30000, (batch_size, work.num_prompt_tokens - 1), device=device)
    prompt[:, 0] = 1
    pixels = torch.randn(batch_size, 6, side, side, device=device)
    return {"pixel_values": pixels, "input_ids": prompt, "attention_mask": torch.ones_like(prompt)}


@torch.no_grad()
def act_without_cache(policy: Any, inputs: dict[str, Tensor]) -> None:
    """Greedy tokens of ``openvla``, the whole sequence again for each."""
    prompt, lengths = complete_prompt(inputs["input_ids"], inputs["attention_mask"])
    _, patches = policy.network.see(inputs["pixel_values"], prompt, mask_of(lengths, prompt.shape[1]))
    tokens = prompt[:, :1]
    for _ in range(policy.action_dim):
        states = policy._states(patches, prompt, lengths, tokens)
        tokens = torch.cat([tokens, policy.network.logits(states[:, -1:]).argmax(-1)], dim=1)


def update(policy: Any, optimizer: torch.optim.Optimizer, inputs: dict[str, Tensor]) -> None:
    """One step of a PPO-like loss."""
    prompt, ids = inputs["input_ids"], policy.network.action_ids
    shape = (len(prompt), policy.chunk * policy.action_dim)
    found = policy.evaluate(torch.randint(ids.start, ids.stop, shape, device=prompt.device), **inputs)
    (found.value.square().mean() - found.logprob.mean()).backward()
    optimizer.step()
    optimizer.zero_grad()


def measure(call: Callable[[], Any], device: torch.device, repeats: int) -> dict[str, Any]:
    """Seconds of one call, the fastest of ``repeats`` after a warm-up, and peak memory; or that it was too little.

    Without repeats, those of the first call.
    """
    is_gpu = device.type == "cuda"
    seconds = []
    try:
        if is_gpu:
            torch.cuda.reset_peak_memory_stats()
        for _ in range(repeats + 1):
            start = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16):
                call()
            if is_gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return {"out_of_memory": True}
    peak = torch.cuda.max_memory_allocated() / GIB if is_gpu else None
    return {"out_of_memory": False, "seconds": min(seconds[1:] or seconds), "peak_gib": peak}


def measured(work: Workload, size: str, arguments: argparse.Namespace, device: torch.device) -> Iterator[dict]:
    """Rows of one policy: its rollouts, unless gradient checkpointing alone makes it new, and its updates."""
    policy = build(work, size, device)
    optimizer = torch.optim.AdamW((p for p in policy.parameters() if p.requires_grad), lr=1e-6)
    for batch_size in arguments.batch_sizes:
        inputs = inputs_of(work, batch_size, device)
        calls: list[tuple[str, bool | None, Callable[[], Any], float]] = []
        if not work.gradient_checkpointing:
            generator = torch.Generator(device).manual_seed(0)
            sampled = partial(policy.act, temperature=1.0, generator=generator, **inputs)
            calls.append(("rollout", None if work.is_oft else True, sampled, act_flops(work)))
            if not work.is_oft:
                calls.append(("rollout", False, partial(act_without_cache, policy, inputs), act_flops(work)))
        calls.append(("update", None, partial(update, policy, optimizer, inputs), update_flops(work)))
        for phase, has_cache, call, flops in calls:
            found = measure(call, device, arguments.repeats)
            yield row_of(work, phase, batch_size, has_cache) | rates(found, work, batch_size, flops, peak_of(arguments))


def row_of(work: Workload, phase: str, batch_size: int, has_cache: bool | None) -> dict[str, Any]:
    """What a row is about."""
    return {
        "policy": "openvla_oft" if work.is_oft else "openvla",
        "phase": phase,
        "batch_size": batch_size,
        "lora_rank": work.lora_rank,
        "kv_cache": has_cache,
        "gradient_checkpointing": work.gradient_checkpointing,
    }


def rates(found: dict[str, Any], work: Workload, batch_size: int, flops: float, peak: float | None) -> dict[str, Any]:
    """Per second; MFU where the GPU's peak is known."""
    if found["out_of_memory"]:
        return found
    per_s = batch_size / found["seconds"]
    mfu = None if peak is None else per_s * flops / peak
    return {**found, "samples_per_s": per_s, "actions_per_s": per_s * work.chunk, "mfu": mfu}


def work_of_iteration(size: str) -> Workload:
    """OFT under adapters, with gradient checkpointing."""
    config = OpenVLAConfig.from_dict(config_of(size))
    return Workload(config, is_oft=True, chunk=CHUNK, lora_rank=LORA_RANK, gradient_checkpointing=True)


def num_passes(size: str) -> tuple[int, int]:
    """Decisions of all environments, and updates, in one iteration."""
    of = ITERATIONS[size]
    num_decisions = of["num_steps"] // CHUNK
    return num_decisions, of["num_envs"] * num_decisions // of["batch_size"]


def iteration(size: str, device: torch.device) -> dict[str, Any]:
    """One PPO iteration of OFT chunks under LoRA, without a simulator: its seconds and peak memory."""
    work = work_of_iteration(size)
    policy = build(work, size, device)
    optimizer = torch.optim.AdamW((p for p in policy.parameters() if p.requires_grad), lr=1e-6)
    num_decisions, num_updates = num_passes(size)
    seen = inputs_of(work, ITERATIONS[size]["num_envs"], device)
    batch = inputs_of(work, ITERATIONS[size]["batch_size"], device)

    def run() -> None:
        for _ in range(num_decisions):
            policy.act(temperature=1.0, **seen)
        for _ in range(num_updates):
            update(policy, optimizer, batch)

    return {**ITERATIONS[size], "lora_rank": LORA_RANK, **measure(run, device, 0)}


def estimated_iteration() -> dict[str, Any]:
    """The same for 7B by formula: the larger of the two peaks, and the operations of all passes."""
    work, of = work_of_iteration("7b"), ITERATIONS["7b"]
    num_decisions, num_updates = num_passes("7b")
    memory = max(act_bytes(work, of["num_envs"], has_cache=False), update_bytes(work, of["batch_size"]))
    flops = num_decisions * of["num_envs"] * act_flops(work) + num_updates * of["batch_size"] * update_flops(work)
    return {**of, "lora_rank": LORA_RANK, **in_units(memory, flops)}


def estimated(work: Workload, batch_sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Rows by formula: memory and operations, no time."""
    for batch_size in batch_sizes:
        if not work.gradient_checkpointing:
            for has_cache in (None,) if work.is_oft else (True, False):
                flops = act_flops_without_cache(work) if has_cache is False else act_flops(work)
                memory = act_bytes(work, batch_size, has_cache is True)
                yield row_of(work, "rollout", batch_size, has_cache) | in_units(memory, flops * batch_size)
        memory, flops = update_bytes(work, batch_size), update_flops(work)
        yield row_of(work, "update", batch_size, None) | in_units(memory, flops * batch_size)


def in_units(memory: float, flops: float) -> dict[str, float]:
    """Bytes in GiB, operations in 10^12."""
    return {"estimated_peak_gib": round(memory / GIB, 1), "tflop": round(flops / 1e12, 2)}


def peak_of(arguments: argparse.Namespace) -> float | None:
    """Operations per second of the GPU, or None for one that is not listed."""
    if arguments.peak_tflops:
        return float(arguments.peak_tflops) * 1e12
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        values = [row.get(column) for column in columns]
        table.add_row(*("-" if v is None else f"{v:,.3g}" if isinstance(v, float) else str(v) for v in values))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def main() -> None:
    """Measure, estimate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--size", choices=("7b", "tiny"), help="7b on a GPU and tiny on a CPU by default")
    parser.add_argument("--batch-sizes", type=int, nargs="+", help="1 to 128 for 7b, 1 and 8 for tiny by default")
    parser.add_argument("--repeats", type=int, help="of which the fastest counts: 3 for 7b, 1 for tiny by default")
    parser.add_argument("--peak-tflops", type=float, help="of a GPU that is not listed, bf16 and dense")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = arguments.size or ("7b" if device.type == "cuda" else "tiny")
    if device.type == "cpu":
        torch.set_num_threads(1)
    arguments.batch_sizes = arguments.batch_sizes or (BATCH_SIZES if size == "7b" else TINY_BATCH_SIZES)
    arguments.repeats = arguments.repeats or REPEATS[size]

    rows = [row for work in workloads(size) for row in measured(work, size, arguments, device)]
    show(f"measured: {size} on {device.type}", rows)
    whole = iteration(size, device)
    print(f"one PPO iteration, measured: {whole}")
    formulas = [row for work in workloads("7b") for row in estimated(work, BATCH_SIZES)]
    show("estimated by formula, not measured: 7b", formulas)
    config = next(workloads("7b")).config
    write(
        arguments.output,
        {
            "measured": {"size": size, "device": device.type, "rows": rows, "ppo_iteration": whole},
            "estimated": {
                "size": "7b",
                "num_parameters": num_parameters(config),
                "rows": formulas,
                "ppo_iteration": estimated_iteration(),
            },
        },
    )


if __name__ == "__main__":
    main()
