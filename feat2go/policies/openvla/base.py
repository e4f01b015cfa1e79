"""What OpenVLA and OpenVLA-OFT have in common: files, pictures, prompts, tokens and the critic."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from feat2go.core.action_bins import from_bins, to_bins
from feat2go.core.categorical import logprob_and_entropy
from feat2go.core.lora import is_adapted, merge_lora, save_adapter
from feat2go.core.recompute import recompute_activations
from feat2go.core.types import PolicyEvaluation
from feat2go.policies.openvla import checkpoint as files
from feat2go.policies.openvla.adapters import ADAPTER_FOLDER, adapt, base_name
from feat2go.policies.openvla.configuration import CONFIG_FILE, OpenVLAConfig
from feat2go.policies.openvla.critic import LEVELS, CriticHead
from feat2go.policies.openvla.film import FILM_FILES
from feat2go.policies.openvla.loading import LM_HEAD, assign, choose_dtype, is_film, load_network
from feat2go.policies.openvla.pictures import ImageProcessor, by_camera
from feat2go.policies.openvla.prompts import Prompter
from feat2go.policies.openvla.statistics import Statistics

CRITIC_FILE = "critic.safetensors"
# The part of config.json that is ours: which policy it is, and its settings.
OURS = "feat2go"

_Policy = TypeVar("_Policy", bound="TokenPolicy")


class TokenPolicy(nn.Module):
    """A language model that sees pictures and answers with action tokens, and a critic on its hidden state.

    Args:
        checkpoint: folder or hub id.
        settings: the constructor's other arguments, which ``config`` and ``config.json`` record.
        is_causal, film: of the network.
        epsilon: of un-normalisation.
    """

    registered_name: ClassVar[str]

    def __init__(
        self,
        checkpoint: str,
        settings: dict[str, Any],
        is_causal: bool = True,
        film: bool = False,
        epsilon: float = 0.0,
    ) -> None:
        super().__init__()
        if settings["critic_level"] not in LEVELS:
            raise ValueError(f"unknown critic_level '{settings['critic_level']}'; known: {', '.join(LEVELS)}")
        self.config = {"model_type": self.registered_name, "checkpoint": str(checkpoint), **settings}
        self.folder = files.resolve_folder(str(checkpoint))
        self.architecture = OpenVLAConfig.from_folder(self.folder)
        self.processor = ImageProcessor.from_folder(self.folder, self.architecture)
        self.prompter = Prompter(self.folder, settings["prompt"], self.architecture.pad_token_id)
        self.statistics = Statistics.from_folder(
            self.folder, self.architecture.raw, settings.get("normalization", "q99"), epsilon
        )
        self.unnorm_key: str | None = settings["unnorm_key"]
        self.center_crop: bool = settings["center_crop"]
        self.num_images: int = settings.get("num_images", 1)
        self.chunk: int = settings.get("chunk", 1)
        self.action_dim: int = settings["action_dim"] or self._statistics_action_dim()
        self.env_units = self._checked_units(settings["env_units"])
        self.critic_level: str = settings["critic_level"]
        dtype = choose_dtype(settings["dtype"], self.architecture)
        # A folder of adapters alone says what they belong to.
        self.base: str = self.architecture.raw.get(OURS, {}).get("base", str(checkpoint))
        base_folder = files.resolve_folder(self.base)
        self.network, self._unused = load_network(base_folder, self.architecture, dtype, is_causal, film)
        adapt(self.network, self.folder, settings)
        if settings["gradient_checkpointing"]:
            recompute_activations(self.network.blocks)
        self.critic = self._make_critic()

    @classmethod
    def from_pretrained(cls: type[_Policy], path_or_hub_id: str | Path, **settings: Any) -> _Policy:
        """Read a public checkpoint, or what :meth:`save_pretrained` wrote.

        Args:
            path_or_hub_id: a folder, or a hub id such as ``openvla/openvla-7b``.
            settings: the constructor's arguments; those that are not given are the saved ones, or the defaults.

        Raises:
            FileNotFoundError: if there is no such checkpoint or a file of it is missing.
            ValueError: if its tensors don't fit its config, or another policy was saved there.
        """
        folder = files.resolve_folder(str(path_or_hub_id))
        saved = dict(OpenVLAConfig.from_folder(folder).raw.get(OURS, {}))
        saved.pop("base", None)
        name = saved.pop("policy", cls.registered_name)
        if name != cls.registered_name:
            raise ValueError(f"{folder} holds a saved {name} policy, not {cls.registered_name}")
        return cls(checkpoint=str(path_or_hub_id), **{**saved, **settings})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a checkpoint in the public layout, with the critic in a file of its own.

        Of a network with adapters, these alone are written, in peft's layout, beside the name of their base;
        :meth:`merge` first writes the whole.
        """
        folder = Path(folder)
        base: dict[str, str] = {}
        if is_adapted(self.network):
            base = {"base": base_name(self.base)}
            save_adapter(self.network, folder / ADAPTER_FOLDER, base["base"])
        else:
            self._write_network(folder)
        files.write_tensors(folder / CRITIC_FILE, self.critic.state_dict())
        files.copy_companions(self.folder, folder)
        settings = {key: value for key, value in self.config.items() if key not in ("model_type", "checkpoint")}
        ours = {"policy": self.config["model_type"], **base, **settings}
        dtype = str(self.network.dtype).removeprefix("torch.")
        files.write_json(folder / CONFIG_FILE, {**self.architecture.raw, "torch_dtype": dtype, OURS: ours})

    def merge(self) -> None:
        """Add the adapters to the network's weights, which learn from here on.

        Raises:
            ValueError: if there are none, or for a network in 4 bits.
        """
        merge_lora(self.network)
        self.network.requires_grad_(True)
        self.config["lora_rank"] = 0

    @property
    def restores_frozen(self) -> bool:
        """Whether a checkpoint of a training can do without what is frozen: ``config`` brings it back."""
        return bool(self.config["lora_rank"] or self.config["load_in_4bit"])

    def _write_network(self, folder: Path) -> None:
        tensors = {**self.network.state_dict(), **self._unused}
        if self.network.language_model.config.tie_word_embeddings:
            del tensors[LM_HEAD]
        extras = {name: tensors.pop(name) for name in list(tensors) if is_film(name)}
        files.write_weights(folder, tensors)
        if self.network.film:
            files.write_tensors(folder / FILM_FILES[0], extras)

    def preprocess(
        self, images: Any, instructions: str | Sequence[str], state: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Pictures and sentences to what :meth:`act` takes.

        Args:
            images: camera -> uint8 (B, H, W, 3), of which the first ``num_images`` are used; or the pictures of one
                camera, uint8 (B, H, W, 3) or a sequence of PIL images or arrays of any sizes.
            instructions: B sentences, or one for a single picture.
            state: float32 (B, S); used by a policy with proprioception.

        Returns:
            ``pixel_values`` float32 (B, channels, side, side), ``input_ids`` and ``attention_mask`` int64 (B, T).

        Raises:
            ValueError: for too few cameras, other pictures, or numbers of rows that differ.
        """
        instructions = [instructions] if isinstance(instructions, str) else instructions
        cameras = by_camera(images)
        if len(cameras) < self.num_images:
            raise ValueError(f"the policy looks through {self.num_images} cameras; got {len(cameras)}")
        if len(cameras[0]) != len(instructions):
            raise ValueError(f"got {len(cameras[0])} pictures and {len(instructions)} instructions")
        pixels = [self.processor(camera, self.center_crop) for camera in cameras[: self.num_images]]
        device = _device_of(images, self.network.language_model.lm_head.weight.device)
        inputs = {"pixel_values": torch.cat(pixels, dim=1).to(device)}
        if not self.prompter.has_tokenizer:
            warnings.warn(
                f"{self.folder} has no tokenizer.json, so there are no input_ids: only pixel_values are prepared",
                stacklevel=2,
            )
            return inputs
        input_ids, attention_mask = self.prompter(instructions)
        return {**inputs, "input_ids": input_ids.to(device), "attention_mask": attention_mask.to(device)}

    def log_prob(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        tokens: Tensor,
        temperature: float = 1.0,
        **inputs: Tensor,
    ) -> Tensor:
        """Log-probs float32 (B, C*A) of tokens (B, C*A) among the action tokens, with gradients."""
        seen = {"pixel_values": pixel_values, "input_ids": input_ids, "attention_mask": attention_mask, **inputs}
        return self.evaluate(tokens, temperature=temperature, **seen).logprob

    def evaluate(self, tokens: Tensor, *, temperature: float = 1.0, **inputs: Tensor) -> PolicyEvaluation:
        """Log-probs, entropy and critic value of tokens (B, C*A) among the action tokens, with gradients."""
        raise NotImplementedError

    def encode(self, actions: Tensor) -> Tensor:
        """Actions (B, C, A) in [-1, 1] of the environment -> token ids (B, C*A). Larger actions have smaller ids."""
        return self._tokens(self._from_env(actions))

    def _tokens(self, actions: Tensor) -> Tensor:
        bins = to_bins(actions, self.architecture.num_action_bins)
        return (self.network.action_ids.stop - 1 - bins).flatten(-2)

    def decode(self, tokens: Tensor) -> Tensor:
        """Token ids (B, C*A) -> normalised actions float32 (B, C, A). Other ids count as the nearest action's.

        Raises:
            ValueError: unless the tokens are whole actions.
        """
        if tokens.shape[-1] % self.action_dim:
            raise ValueError(f"tokens must be whole actions of {self.action_dim}; got {tuple(tokens.shape)}")
        bins = self.network.action_ids.stop - 1 - tokens
        actions = from_bins(bins, self.architecture.num_action_bins)
        return actions.view(*tokens.shape[:-1], -1, self.action_dim)

    def unnormalize(self, actions: Tensor, dataset_name: str | None = None) -> Tensor:
        """Actions (..., A) in [-1, 1] -> in the units of one of the checkpoint's data sets.

        Raises:
            ValueError: if the checkpoint has no such data set.
        """
        return self.statistics.unnormalize(actions, dataset_name or self.unnorm_key)

    def _for_env(self, actions: Tensor) -> Tensor:
        """Normalised actions (..., A) -> in [-1, 1] of the environment."""
        if self.env_units is None:
            return actions
        own = self.unnormalize(actions)
        is_scaled = self.statistics.is_scaled(self.unnorm_key).to(own.device)
        gripper = torch.where(own > 0.5, 1.0, -1.0)
        return torch.where(is_scaled, own / self.env_units.to(own), gripper).clamp(-1, 1)

    def _from_env(self, actions: Tensor) -> Tensor:
        """What an environment carried out (..., A) -> normalised."""
        if self.env_units is None:
            return actions
        is_scaled = self.statistics.is_scaled(self.unnorm_key).to(actions.device)
        own = torch.where(is_scaled, actions * self.env_units.to(actions), (actions + 1) / 2)
        return self.statistics.normalize(own, self.unnorm_key)

    def _checked_units(self, units: Sequence[float] | None) -> Tensor | None:
        if units is None:
            return None
        if len(units) != self.action_dim or min(units) <= 0:
            raise ValueError(f"env_units are {self.action_dim} numbers above 0, one for each dimension; got {units}")
        return torch.tensor(units)

    def shard_units(self) -> list[nn.Module]:
        """The blocks of the towers and of the language model, the projector, and the critic, whose dtype is its own."""
        return [*self.network.blocks, self.network.projector, self.critic]

    def _judge(self, states: Tensor, tokens: Tensor, temperature: float) -> PolicyEvaluation:
        """What the states (B, C*A, D) say of the tokens."""
        actions = self.network.action_ids
        if tokens.shape != states.shape[:2] or not bool(self.network.is_action(tokens).all()):
            raise ValueError(
                f"tokens must be {tuple(states.shape[:2])} action tokens, {actions.start} to {actions.stop - 1}; "
                f"got {tuple(tokens.shape)}, {int(tokens.min())} to {int(tokens.max())}"
            )
        logits = self.network.logits(states)[..., actions.start : actions.stop]
        judged = logprob_and_entropy(logits, tokens - actions.start, temperature)
        return PolicyEvaluation(*judged, self._values(states))

    @staticmethod
    def _before_actions(hidden: Tensor, start: Tensor, num_tokens: int) -> Tensor:
        """The states (B, num_tokens, D) that predict the tokens from sequence position ``start`` (B,) on."""
        index = start[:, None] - 1 + torch.arange(num_tokens, device=hidden.device)
        return hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[-1]))

    def _values(self, states: Tensor) -> Tensor:
        """States (B, C*A, D) that predict the actions -> (B,) or (B, C): the critic reads the first."""
        values: Tensor = self.critic(states[:, 0])
        return values[:, 0] if self.critic_level == "chunk" else values

    def _make_critic(self) -> CriticHead:
        width = self.network.language_model.config.hidden_size
        critic = CriticHead(width, 1 if self.critic_level == "chunk" else self.chunk)
        path = self.folder / CRITIC_FILE
        if path.is_file():
            tensors = load_file(path)
            expected = {name: tuple(tensor.shape) for name, tensor in critic.state_dict().items()}
            files.check_shapes(path, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, expected)
            assign(critic, tensors)
        return critic

    def _statistics_action_dim(self) -> int:
        action_dim = self.statistics.action_dim(self.unnorm_key)
        if action_dim is None:
            raise ValueError(
                f"{self.folder}: the statistics don't tell one number of action dimensions; "
                "give action_dim or unnorm_key"
            )
        return action_dim


def _device_of(images: Any, default: torch.device) -> torch.device:
    """Where the pictures are, if they are tensors; else where the network is."""
    first = next(iter(images.values())) if isinstance(images, Mapping) else images
    return first.device if isinstance(first, Tensor) else default
