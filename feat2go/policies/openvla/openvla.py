"""OpenVLA (Kim et al. 2024, arXiv 2406.09246): one action, token by token."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.core.categorical import sample_tokens, token_logprob
from feat2go.core.types import PolicyEvaluation, PolicyOutput
from feat2go.policies.openvla.base import TokenPolicy
from feat2go.policies.openvla.prompts import append, complete_prompt, mask_of


class OpenVLA(TokenPolicy):
    """A public OpenVLA checkpoint as a policy.

    Args:
        checkpoint: folder or hub id, e.g. ``openvla/openvla-7b``; of any size that its config.json describes.
        dtype: of the network; ``auto`` is what config.json says. The critic is float32 always.
        critic_level: ``chunk`` or ``action``: the critic's value is (B,) or (B, C).
        gradient_checkpointing: recompute activations in the backward pass.
        center_crop: keep the middle 90 % of a picture's area, for checkpoints that were tuned on random crops.
        prompt: ``openvla``, ``v01`` or a text with ``{instruction}``.
        unnorm_key: data set that :meth:`unnormalize` uses if it is not told.
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

    registered_name = "openvla"

    def __init__(
        self,
        checkpoint: str,
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
        settings = {
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
        super().__init__(checkpoint, settings)

    @torch.no_grad()
    def act(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        temperature: float = 0.0,
        action_tokens_only: bool = True,
        generator: torch.Generator | None = None,
    ) -> PolicyOutput:
        """Choose an action token by token, over cached keys and values; the pictures are seen once.

        Log-probs and value come from a second pass over the whole sequence, the one that :meth:`evaluate` does: cached
        steps round differently, so that the importance ratios of an update would not start at 1.

        Args:
            pixel_values: float (B, channels, H, W).
            input_ids: int64 (B, T) prompts, padded on the right, with or without the trailing 29871.
            attention_mask: (B, T).
            temperature: 0 is greedy, with the log-probs of temperature 1.
            action_tokens_only: choose among the action tokens; otherwise in the whole vocabulary, as the original
                evaluates.
            generator: for sampling.
        """
        prompt, lengths = complete_prompt(input_ids, attention_mask)
        _, patches = self.network.see(pixel_values, prompt, mask_of(lengths, prompt.shape[1]))
        first_id = self.network.action_ids.start if action_tokens_only else 0
        stop_id = self.network.action_ids.stop if action_tokens_only else None
        columns = slice(first_id, stop_id)
        index = self._generate(patches, prompt, lengths, columns, temperature, generator)
        tokens = index + first_id
        states = self._states(patches, prompt, lengths, tokens)
        logprob = token_logprob(self.network.logits(states)[..., columns], index, temperature)
        return PolicyOutput(self._for_env(self.decode(tokens)), tokens, logprob, self._values(states))

    def evaluate(self, tokens: Tensor, *, temperature: float = 1.0, **inputs: Tensor) -> PolicyEvaluation:
        """Log-probs, entropy and critic value of tokens (B, A) among the action tokens, with gradients.

        Raises:
            ValueError: for tokens that are no action tokens.
        """
        prompt, lengths = complete_prompt(inputs["input_ids"], inputs["attention_mask"])
        _, patches = self.network.see(inputs["pixel_values"], prompt, mask_of(lengths, prompt.shape[1]))
        return self._judge(self._states(patches, prompt, lengths, tokens), tokens, temperature)

    def _states(self, patches: Tensor, prompt: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Hidden states (B, A, D) that predict the tokens, from one pass over prompts and tokens."""
        ids = append(prompt, lengths, tokens)
        hidden = self.network.read(patches, ids, mask_of(lengths + tokens.shape[1], ids.shape[1]))
        return self._before_actions(hidden, lengths + patches.shape[1], tokens.shape[1])

    def _generate(
        self,
        patches: Tensor,
        prompt: Tensor,
        lengths: Tensor,
        columns: slice,
        temperature: float,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Columns (B, A) of the logits that were chosen, one after the other."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self.network.language_model.config)
        num_seen = patches.shape[1]
        mask = mask_of(lengths, int(lengths.max()))
        hidden = self.network.read(patches, prompt[:, : mask.shape[1]], mask, cache=cache)
        state = self._before_actions(hidden, lengths + num_seen, 1)[:, 0]
        mask = torch.cat([mask.new_ones(len(mask), num_seen), mask], dim=1)
        chosen: list[Tensor] = []
        for step in range(self.action_dim):
            if chosen:
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
                token = chosen[-1] + (columns.start or 0)
                state = self.network.read_next(token, lengths + num_seen + step - 1, mask, cache)
            chosen.append(sample_tokens(self.network.logits(state)[:, columns], temperature, generator))
        return torch.stack(chosen, dim=1)
