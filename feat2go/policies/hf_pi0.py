"""pi0 (arXiv 2410.24164), the class of transformers, as a policy that can be cloned and evaluated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from feat2go.core.files import atomic_write
from feat2go.core.types import PolicyEvaluation, PolicyOutput

# The folder of the network inside that of the policy.
_NETWORK = "network"


class HFPi0(nn.Module):
    """A flow policy: noise becomes a chunk of continuous actions along a learned velocity field.

    Its "tokens" are the actions themselves, float32. It has no log-probs and no critic, so reinforcement learning is
    refused; ``bc`` trains it by its own loss (eq. 2 of the paper), :meth:`cloning_loss`.

    Args:
        path: a checkpoint of transformers' ``PI0ForConditionalGeneration`` with its tokenizer: a folder or a hub id.
            The ``state_mean``, ``state_std``, ``actions_mean`` and ``actions_std`` of its processor_config.json are
            used where they are given.
        action_dim: A, at most the checkpoint's ``max_action_dim``.
        chunk: C, actions per decision; all that the network predicts.
        state_dim: S, at most the checkpoint's ``max_state_dim``; 0 shows it a state of zeros.
        num_cameras: images per observation; the environment's first ones are used.
        num_denoising_steps: of one decision; the checkpoint's by default.
        dtype: of the network's parameters, ``float32`` or ``bfloat16``.
    """

    has_logprob = False

    def __init__(
        self,
        path: str,
        action_dim: int = 7,
        chunk: int = 4,
        state_dim: int = 0,
        num_cameras: int = 1,
        num_denoising_steps: int | None = None,
        dtype: str = "float32",
    ) -> None:
        from transformers import AutoTokenizer, PI0ForConditionalGeneration

        super().__init__()
        self.config = {
            "model_type": "hf_pi0",
            "path": path,
            "action_dim": action_dim,
            "chunk": chunk,
            "state_dim": state_dim,
            "num_cameras": num_cameras,
            "num_denoising_steps": num_denoising_steps,
            "dtype": dtype,
        }
        self.action_dim = action_dim
        self.chunk = chunk
        self.state_dim = state_dim
        self.num_cameras = num_cameras
        self.num_denoising_steps = num_denoising_steps
        # Nothing in the weights depends on the length of a chunk.
        self.network: Any = PI0ForConditionalGeneration.from_pretrained(path, dtype=dtype, chunk_size=chunk)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        settings: Any = self.network.config
        if not (1 <= action_dim <= settings.max_action_dim and 0 <= state_dim <= settings.max_state_dim):
            raise ValueError(
                f"{path} takes up to {settings.max_action_dim} action and {settings.max_state_dim} state dimensions; "
                f"got {action_dim} and {state_dim}"
            )
        self.image_size: int = settings.vlm_config.vision_config.image_size
        self.statistics = _read_statistics(path, {"state": state_dim, "actions": action_dim})
        _freeze_unused(self.network)

    def preprocess(
        self, images: dict[str, Tensor], instructions: Sequence[str], state: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Camera -> uint8 (B, H, W, 3), B sentences, float32 (B, S) -> the tensors that transformers' class takes.

        Pictures are fitted into the network's square and padded with black, at the right or below, as by transformers'
        processor.

        Raises:
            ValueError: for cameras or a state that the policy was not built for.
        """
        if len(images) < self.num_cameras:
            raise ValueError(f"hf_pi0 looks through {self.num_cameras} cameras; got {', '.join(images)}")
        given_dim = 0 if state is None else state.shape[-1]
        if self.state_dim and given_dim != self.state_dim:
            raise ValueError(f"hf_pi0 was built for state_dim {self.state_dim}; the observation has {given_dim}")
        dtype, device = self.network.dtype, self.network.device
        views = [_fit(image.to(device), self.image_size) for image in list(images.values())[: self.num_cameras]]
        pixel_values = torch.stack(views, dim=1).to(dtype)
        padded = torch.zeros(len(instructions), self.network.config.max_state_dim, device=device)
        if self.state_dim and state is not None:
            padded[:, : self.state_dim] = self._normalise(state.to(device), "state")
        return {
            **self._tokenise(instructions, device),
            "pixel_values": pixel_values,
            "pixel_attention_mask": torch.ones(pixel_values.shape[:2], dtype=torch.bool, device=device),
            "state": padded.to(dtype),
        }

    def _tokenise(self, instructions: Sequence[str], device: torch.device) -> dict[str, Tensor]:
        """Image tokens, then the beginning of a sentence, the instruction and a line break; padded on the right."""
        settings = self.network.config.vlm_config
        num_patches = (self.image_size // settings.vision_config.patch_size) ** 2
        image_tokens = [settings.image_token_id] * (num_patches * self.num_cameras)
        texts = [f"{self.tokenizer.bos_token}{' '.join(sentence.split())}\n" for sentence in instructions]
        rows = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        length = len(image_tokens) + max(map(len, rows))
        input_ids = torch.full((len(rows), length), self.tokenizer.pad_token_id)
        attention_mask = torch.zeros_like(input_ids)
        for i, row in enumerate(rows):
            tokens = torch.tensor([*image_tokens, *row])
            input_ids[i, : len(tokens)] = tokens
            attention_mask[i, : len(tokens)] = 1
        return {"input_ids": input_ids.to(device), "attention_mask": attention_mask.to(device)}

    def act(
        self, *, temperature: float = 1.0, generator: torch.Generator | None = None, **inputs: Tensor
    ) -> PolicyOutput:
        """Denoise a chunk. Log-probs and value are NaN: a flow policy has none.

        Args:
            temperature: deviation of the noise that denoising starts from. 1 is what the network learned from; 0 makes
                it deterministic.
            generator: of the noise.
            inputs: of :meth:`preprocess`.
        """
        noise = temperature * self._noise(inputs["state"], generator)
        found = self.network.sample_actions(noise=noise, num_steps=self.num_denoising_steps, **inputs)
        actions = self._denormalise(found[..., : self.action_dim].float()).clamp(-1, 1)
        tokens = self.encode(actions)
        nothing = torch.full_like(tokens, float("nan"))
        return PolicyOutput(actions, tokens, nothing, nothing[:, 0])

    def evaluate(self, tokens: Tensor, *, temperature: float = 1.0, **inputs: Tensor) -> PolicyEvaluation:
        """Not possible.

        Raises:
            NotImplementedError: always; the message says what is.
        """
        raise NotImplementedError(
            "hf_pi0 generates actions by flow matching and has no log-probs, which this algorithm needs. "
            "Train it with `algorithm: bc`, or choose a policy with action tokens, such as openvla_oft."
        )

    def cloning_loss(self, tokens: Tensor, mask: Tensor, **inputs: Tensor) -> Tensor:
        """The flow-matching loss: mean squared error of the velocity at a random time between noise and actions.

        Args:
            tokens: demonstrated actions, float32 (B, C*A).
            mask: bool (B, C*A); an action counts where all its dimensions do.
            inputs: of :meth:`preprocess`.

        Returns:
            Scalar. As in the original, dimensions beyond A count too: there the actions are zero.
        """
        actions = self._normalise(self.decode(tokens), "actions")
        missing = self.network.config.max_action_dim - self.action_dim
        actions = functional.pad(actions, (0, missing)).to(inputs["state"].dtype)
        noise = self._noise(inputs["state"], None)
        velocity = self.network(actions=actions, noise=noise, **inputs).logits
        error = (velocity.float() - (noise - actions).float()).square().mean(-1)
        counts = mask.view(len(mask), self.chunk, self.action_dim).all(-1)
        loss: Tensor = (error * counts).sum() / counts.sum().clamp(min=1)
        return loss

    def encode(self, actions: Tensor) -> Tensor:
        """Actions (B, C, A) -> the same as (B, C*A)."""
        return actions.flatten(1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Actions (B, C*A) -> the same as (B, C, A)."""
        return tokens.view(len(tokens), self.chunk, self.action_dim)

    def shard_units(self) -> list[nn.Module]:
        """The layers of the vision tower, the language model and the action expert."""
        model = self.network.model
        towers = (model.vlm.vision_tower.encoder, model.vlm.language_model, model.dit)
        return [layer for tower in towers for layer in tower.layers]

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json and, in ``network/``, what transformers reads: weights, tokenizer, statistics."""
        inside = folder / _NETWORK
        self.network.save_pretrained(inside)
        self.tokenizer.save_pretrained(inside)
        if self.statistics:
            with atomic_write(inside / "processor_config.json") as partial:
                partial.write_text(json.dumps(self.statistics, indent=2) + "\n")
        with atomic_write(folder / "config.json") as partial:
            partial.write_text(json.dumps({**self.config, "path": _NETWORK}, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path) -> HFPi0:
        """Read what :meth:`save_pretrained` wrote."""
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        config.pop("model_type", None)
        return cls(**{**config, "path": str(folder / config["path"])})

    def _noise(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        shape = (len(like), self.chunk, self.network.config.max_action_dim)
        device = like.device if generator is None else generator.device
        return torch.randn(shape, generator=generator, device=device).to(like.device, like.dtype)

    def _normalise(self, values: Tensor, name: str) -> Tensor:
        if f"{name}_mean" not in self.statistics:
            return values
        mean, std = (values.new_tensor(self.statistics[f"{name}_{moment}"]) for moment in ("mean", "std"))
        return (values - mean) / (std + 1e-8)

    def _denormalise(self, actions: Tensor) -> Tensor:
        if "actions_mean" not in self.statistics:
            return actions
        mean, std = (actions.new_tensor(self.statistics[f"actions_{moment}"]) for moment in ("mean", "std"))
        return actions * (std + 1e-8) + mean


def _fit(images: Tensor, size: int) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, size, size) in [-1, 1]."""
    pixels = images.permute(0, 3, 1, 2).float()
    height, width = pixels.shape[-2:]
    fitted = (height * size // max(height, width), width * size // max(height, width))
    if fitted != (height, width):
        pixels = functional.interpolate(pixels, fitted, mode="bicubic", antialias=True).round().clamp(0, 255)
    pixels = functional.pad(pixels, (0, size - fitted[1], 0, size - fitted[0]))
    return pixels / 127.5 - 1


def _read_statistics(path: str, dims: dict[str, int]) -> dict[str, list[float]]:
    """Mean and deviation of states and actions, of those that the checkpoint gives."""
    from transformers.utils.hub import cached_file

    file = cached_file(path, "processor_config.json", _raise_exceptions_for_missing_entries=False)
    stored = json.loads(Path(file).read_text()) if file else {}
    found = {}
    for name, dim in dims.items():
        for moment in ("mean", "std"):
            values = stored.get(f"{name}_{moment}")
            if not values or not dim:
                continue
            if len(values) != dim:
                raise ValueError(f"{file}: {name}_{moment} has {len(values)} numbers; the policy was built for {dim}")
            found[f"{name}_{moment}"] = values
    return found


def _freeze_unused(network: Any) -> None:
    """Parameters that never get a gradient, which processes that average gradients would wait for.

    The action expert sees only the keys and values of the language model, so its last layer ends there.
    """
    network.model.dit.embed_tokens.requires_grad_(False)
    language_model = network.model.vlm.language_model
    last = language_model.layers[-1]
    attention = last.self_attn
    for unused in (
        attention.q_proj,
        attention.o_proj,
        last.mlp,
        last.post_attention_layernorm,
        language_model.norm,
    ):
        unused.requires_grad_(False)
