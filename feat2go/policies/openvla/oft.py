"""OpenVLA-OFT (Kim et al. 2025, arXiv 2502.19645): a whole chunk of actions in one pass."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from feat2go.core.categorical import sample_tokens, token_logprob
from feat2go.core.types import PolicyEvaluation, PolicyOutput
from feat2go.policies.openvla import checkpoint as files
from feat2go.policies.openvla.base import TokenPolicy
from feat2go.policies.openvla.film import FILM_FILES
from feat2go.policies.openvla.heads import (
    ACTION_HEAD_FILES,
    PROPRIO_FILES,
    load_l1_head,
    load_proprio_projector,
)
from feat2go.policies.openvla.prompts import EOS, append, complete_prompt, mask_of

HEADS = ("discrete", "l1")
# Added to the range of the statistics, as the original does.
_EPSILON = 1e-8


class OpenVLAOFT(TokenPolicy):
    """A public OpenVLA-OFT checkpoint as a policy. Attention goes both ways, and all action tokens are read at once.

    Args:
        checkpoint: folder or hub id, e.g. ``moojink/openvla-7b-oft-finetuned-libero-spatial``.
        chunk: C; 8 for LIBERO, 25 for ALOHA, 5 for BRIDGE.
        head: ``discrete`` reads tokens off the language model, which RL needs; ``l1`` regresses actions and has no
            log-probs.
        num_images: pictures per observation: the first so many cameras.
        proprio: whether the normalised state is one more token.
        film: whether the instruction modulates the towers.
        normalization: ``q99`` (LIBERO, BRIDGE) or ``bounds`` (ALOHA), what -1 and 1 mean in the statistics.
        dtype: of the network; ``auto`` is what config.json says. The critic is float32 always.
        critic_level: ``chunk`` or ``action``: the critic's value is (B,) or (B, C).
        gradient_checkpointing: recompute activations in the backward pass.
        center_crop: keep the middle 90 % of a picture's area, for checkpoints that were tuned on random crops.
        prompt: ``openvla``, ``v01`` or a text with ``{instruction}``.
        unnorm_key: data set whose statistics are used if none is named.
        action_dim: A; by default that of the statistics.
        env_units: how much of the data set's own units (metres, radians) one unit of the environment's action is, for
            each dimension. Actions are then un-normalised, converted and cut at 1; a gripper, which the statistics
            leave as it is, opens above 0.5. By default the environment takes normalised actions.
        lora_rank: of low-rank adapters on a frozen network; 0 trains the network itself.
        lora_alpha: scale of the adapters, divided by the rank; the rank itself by default.
        lora_targets: which linear layers are adapted: ``all-linear``, or parts of module names such as ``q_proj``.
        lora_exclude: parts of module names that are not, such as ``lm_head`` or ``vision_backbone``.
        load_in_4bit: keep the frozen network in 4 bits per weight; needs ``feat2go[4bit]``.

    Raises:
        FileNotFoundError: if there is no such checkpoint or a file of it is missing.
        ValueError: if its tensors don't fit its config, or for settings out of range.
    """

    registered_name = "openvla_oft"

    def __init__(
        self,
        checkpoint: str,
        chunk: int = 8,
        head: str = "discrete",
        num_images: int = 1,
        proprio: bool = False,
        film: bool = False,
        normalization: str = "q99",
        dtype: str = "auto",
        critic_level: str = "chunk",
        gradient_checkpointing: bool = False,
        center_crop: bool = False,
        prompt: str = "openvla",
        unnorm_key: str | None = None,
        action_dim: int | None = None,
        env_units: list[float] | None = None,
        lora_rank: int = 0,
        lora_alpha: float | None = None,
        lora_targets: str | list[str] = "all-linear",
        lora_exclude: list[str] | None = None,
        load_in_4bit: bool = False,
    ) -> None:
        if head not in HEADS:
            raise ValueError(f"unknown head '{head}'; known: {', '.join(HEADS)}")
        if chunk < 1 or num_images < 1:
            raise ValueError(f"chunk and num_images are at least 1; got {chunk} and {num_images}")
        settings = {
            "chunk": chunk,
            "head": head,
            "num_images": num_images,
            "proprio": proprio,
            "film": film,
            "normalization": normalization,
            "dtype": str(dtype).removeprefix("torch."),
            "critic_level": critic_level,
            "gradient_checkpointing": gradient_checkpointing,
            "center_crop": center_crop,
            "prompt": prompt,
            "unnorm_key": unnorm_key,
            "action_dim": action_dim,
            "env_units": env_units,
            "lora_rank": lora_rank,
            "lora_alpha": lora_alpha,
            "lora_targets": lora_targets,
            "lora_exclude": lora_exclude,
            "load_in_4bit": load_in_4bit,
        }
        super().__init__(checkpoint, settings, is_causal=False, film=film, epsilon=_EPSILON)
        # What learns beside a frozen network is float32, as its adapters are.
        width = self.network.language_model.config.hidden_size
        dtype_ = torch.float32 if lora_rank else self.network.dtype
        self.action_head = load_l1_head(self.folder, self.action_dim, width, dtype_) if head == "l1" else None
        self.proprio_projector = load_proprio_projector(self.folder, width, dtype_) if proprio else None
        self._warn_of_unused_files({"head: l1": head == "l1", "proprio: true": proprio, "film: true": film})

    @property
    def has_logprob(self) -> bool:
        """Whether reinforcement learning can use it."""
        return self.action_head is None

    def preprocess(
        self, images: Any, instructions: str | Sequence[str], state: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As of any OpenVLA, and ``proprio`` float32 (B, S) in [-1, 1] for a policy with proprioception.

        Raises:
            ValueError: for pictures or a state that the policy was not built for.
        """
        inputs = super().preprocess(images, instructions, state)
        if self.proprio_projector is None:
            return inputs
        if state is None:
            raise ValueError("the policy was built with proprioception; the observation has no state")
        return {**inputs, "proprio": self.statistics.normalize_proprio(state, self.unnorm_key)}

    @torch.no_grad()
    def act(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        temperature: float = 0.0,
        action_tokens_only: bool = True,
        generator: torch.Generator | None = None,
        proprio: Tensor | None = None,
    ) -> PolicyOutput:
        """A chunk of actions in one pass, the one that :meth:`evaluate` does.

        Args:
            pixel_values: float (B, channels of n pictures, H, W).
            input_ids: int64 (B, T) prompts, padded on the right, with or without the trailing 29871.
            attention_mask: (B, T).
            temperature: 0 is greedy, with the log-probs of temperature 1. The L1 head takes nothing else.
            action_tokens_only: choose among the action tokens; otherwise in the whole vocabulary, as the original
                evaluates.
            generator: for sampling.
            proprio: (B, S), normalised, for a policy with proprioception.

        Raises:
            ValueError: if an L1 head is asked to sample.
        """
        states = self._states(pixel_values, input_ids, attention_mask, proprio)
        if self.action_head is not None:
            return self._regress(states, temperature)
        first_id = self.network.action_ids.start if action_tokens_only else 0
        stop_id = self.network.action_ids.stop if action_tokens_only else None
        logits = self.network.logits(states)[..., first_id:stop_id]
        index = sample_tokens(logits, temperature, generator)
        logprob = token_logprob(logits, index, temperature)
        tokens = index + first_id
        return PolicyOutput(self._for_env(self.decode(tokens)), tokens, logprob, self._values(states))

    def evaluate(self, tokens: Tensor, *, temperature: float = 1.0, **inputs: Tensor) -> PolicyEvaluation:
        """Log-probs, entropy and critic value of tokens (B, C*A) among the action tokens, with gradients.

        Raises:
            ValueError: for tokens that are no action tokens, and for an L1 head, which has no log-probs.
        """
        if self.action_head is not None:
            raise ValueError(_NO_LOG_PROBS)
        return self._judge(self._states(**inputs), tokens, temperature)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a checkpoint in the public layout, with critic, action head and projector in files of their own."""
        super().save_pretrained(folder)
        if self.action_head is not None:
            files.write_tensors(Path(folder) / ACTION_HEAD_FILES[0], self.action_head.state_dict())
        if self.proprio_projector is not None:
            files.write_tensors(Path(folder) / PROPRIO_FILES[0], self.proprio_projector.state_dict())

    def _states(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, proprio: Tensor | None = None
    ) -> Tensor:
        """Hidden states (B, C*A, D) that predict the action tokens: each stands one place before its slot."""
        prompt, lengths = complete_prompt(input_ids, attention_mask)
        num_slots = self.chunk * self.action_dim
        # Any action id marks a slot: its embedding is zero.
        slots = prompt.new_full((len(prompt), num_slots + 1), self.network.action_ids.start)
        slots[:, -1] = EOS
        ids = append(prompt, lengths, slots)
        mask = mask_of(lengths + num_slots + 1, ids.shape[1])
        is_slot = mask_of(lengths + num_slots, ids.shape[1]) & ~mask_of(lengths, ids.shape[1])
        _, projected = self.network.see(pixel_values, ids, mask & ~is_slot, self._proprio_token(proprio))
        hidden = self.network.read(projected, ids, mask, is_slot)
        return self._before_actions(hidden, lengths + projected.shape[1], num_slots)

    def _warn_of_unused_files(self, is_used: dict[str, bool]) -> None:
        """A released checkpoint without the parts that it was trained with gives poor actions, and no error."""
        patterns = (ACTION_HEAD_FILES[1], PROPRIO_FILES[1], FILM_FILES[1])
        for (setting, used), pattern in zip(is_used.items(), patterns, strict=True):
            released = next(self.folder.glob(pattern), None)
            if released is not None and not used:
                warnings.warn(
                    f"{self.folder} was trained with {released.name}, which is not used; set {setting} to use it",
                    stacklevel=3,
                )

    def _proprio_token(self, proprio: Tensor | None) -> Tensor | None:
        if (self.proprio_projector is None) != (proprio is None):
            expected = "no proprio" if self.proprio_projector is None else "proprio (B, S)"
            raise ValueError(f"the policy was built with proprio {self.config['proprio']}, so it takes {expected}")
        return None if self.proprio_projector is None else self.proprio_projector(proprio)

    def _regress(self, states: Tensor, temperature: float) -> PolicyOutput:
        if temperature > 0:
            raise ValueError(_NO_LOG_PROBS)
        assert self.action_head is not None
        actions = self.action_head(states).float()
        tokens = self._tokens(actions)
        return PolicyOutput(self._for_env(actions), tokens, torch.full(tokens.shape, torch.nan), self._values(states))


_NO_LOG_PROBS = (
    "the L1 head regresses actions and has no log-probs: evaluate it at temperature 0, and use head: discrete for "
    "reinforcement learning and behaviour cloning"
)
