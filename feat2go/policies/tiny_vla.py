"""A vision-language-action policy that trains on two cores."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from feat2go.core.action_bins import NUM_BINS, from_bins, to_bins
from feat2go.core.categorical import logprob_and_entropy, sample_tokens, token_logprob
from feat2go.core.files import atomic_write
from feat2go.core.text import hashed_words
from feat2go.core.types import PolicyEvaluation, PolicyOutput

# Positions come in metres; this brings a tabletop's to order one.
_STATE_SCALE = 5.0
# The logits of the bins are interpolated between so many, evenly spaced: what one action teaches holds for its
# neighbours as well.
_NUM_KNOTS = 33


class TinyVLA(nn.Module):
    """Images, an instruction and a state to a chunk of discrete action tokens, decoded in parallel.

    A small convolutional network sees each camera; the instruction, as hashed words, modulates its features (FiLM,
    Perez et al. 2018); a trunk feeds 256 action bins per dimension, as in OpenVLA, and a critic.

    Args:
        action_dim: A.
        chunk: C, actions per decision.
        state_dim: S, 0 for none.
        num_cameras: images per observation; the environment's first ones are used.
        image_size: side in pixels, a multiple of 8, that pictures are averaged down to. Larger pictures are for the
            value model's eyes: they must be a whole multiple of it.
        width: of the trunk.
        num_words: buckets of the hashed instruction.
        judges_actions: whether the critic gives a value for each action of the chunk rather than one for the decision.
        keypoints: whether a channel of the picture's features counts only by where it is strongest, a spatial softmax
            (Levine et al. 2016, arXiv 1504.00702), instead of by all its places. Where things are is then learned from
            fewer demonstrations; what many small things look like together is lost.
    """

    def __init__(
        self,
        action_dim: int = 7,
        chunk: int = 1,
        state_dim: int = 0,
        num_cameras: int = 1,
        image_size: int = 64,
        width: int = 256,
        num_words: int = 128,
        judges_actions: bool = False,
        keypoints: bool = False,
    ) -> None:
        super().__init__()
        if image_size % 8:
            raise ValueError(f"tiny_vla: image_size is a multiple of 8; got {image_size}")
        if action_dim < 1 or chunk < 1 or num_cameras < 1 or state_dim < 0:
            raise ValueError(
                "tiny_vla: action_dim, chunk and num_cameras are at least 1, state_dim at least 0; "
                f"got {action_dim}, {chunk}, {num_cameras}, {state_dim}"
            )
        self.config = {
            "model_type": "tiny_vla",
            "action_dim": action_dim,
            "chunk": chunk,
            "state_dim": state_dim,
            "num_cameras": num_cameras,
            "image_size": image_size,
            "width": width,
            "num_words": num_words,
            "judges_actions": judges_actions,
            "keypoints": keypoints,
        }
        self.action_dim = action_dim
        self.chunk = chunk
        self.state_dim = state_dim
        self.num_cameras = num_cameras
        self.image_size = image_size
        self.num_words = num_words
        self.judges_actions = judges_actions

        channels = (3, 16, 32, 32)
        self.vision = nn.Sequential()
        for i, (inner, outer) in enumerate(itertools.pairwise(channels)):
            size = 5 if i == 0 else 3
            self.vision.append(nn.Conv2d(inner, outer, size, stride=2, padding=size // 2))
            # In place: the gradient of a convolution does without what came out of it.
            self.vision.append(nn.ReLU(inplace=True))
        self.film = nn.Linear(num_words, 2 * channels[-1])
        self.keypoints = _Keypoints(channels[-1]) if keypoints else None
        num_features = num_cameras * channels[-1] * (2 if keypoints else (image_size // 8) ** 2)
        self.normalise = nn.LayerNorm(num_features)
        self.trunk = nn.Sequential(nn.Linear(num_features + state_dim, width), nn.ReLU())
        if keypoints:
            # What to do follows from places by more than one layer; from a grid of features it is nearly linear.
            self.trunk.extend([nn.Linear(width, width), nn.ReLU()])
        self.actor = nn.Linear(width, chunk * action_dim * _NUM_KNOTS)
        self.critic = nn.Linear(width, chunk if judges_actions else 1)
        # PyTorch's own initialisation lets the picture's signal fade from layer to layer, and the state drown it.
        for layer in (*self.vision, *self.trunk):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                _orthogonal(layer.weight, gain=2**0.5)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        _orthogonal(self.actor.weight, gain=0.01)
        nn.init.zeros_(self.actor.bias)
        nn.init.zeros_(self.critic.weight)
        nn.init.zeros_(self.critic.bias)
        self.vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def preprocess(
        self, images: dict[str, Tensor], instructions: Sequence[str], state: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Camera -> uint8 (B, H, W, 3), B sentences, float32 (B, S) -> pixels, words and state.

        Raises:
            ValueError: for cameras, picture sizes or a state that the policy was not built for.
        """
        if len(images) < self.num_cameras:
            raise ValueError(f"tiny_vla looks through {self.num_cameras} cameras; got {', '.join(images)}")
        cameras = list(images.values())[: self.num_cameras]
        # A view of the only camera's: a batch of pictures is large.
        pixels = torch.stack(cameras, dim=1) if len(cameras) > 1 else cameras[0][:, None]
        height, width, channels = pixels.shape[2:]
        if height != width or channels != 3 or height % self.image_size:
            raise ValueError(
                f"tiny_vla takes (B, H, H, 3) pictures with H a multiple of {self.image_size}; "
                f"got {tuple(pixels[:, 0].shape)}. Set image_size in the policy or in the environment."
            )
        given_dim = 0 if state is None else state.shape[-1]
        if self.state_dim and given_dim != self.state_dim:
            raise ValueError(f"tiny_vla was built for state_dim {self.state_dim}; the observation has {given_dim}")
        inputs = {"pixels": pixels, "words": hashed_words(instructions, self.num_words).to(pixels.device)}
        if self.state_dim and state is not None:
            inputs["state"] = state
        return inputs

    def forward(self, pixels: Tensor, words: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Uint8 (B, cameras, H, W, 3), (B, words), (B, S) -> logits (B, C*A, 256) and critic value (B,) or (B, C)."""
        # In place: on a CPU, new memory for each operation would take more time than the operation.
        images = _averaged(pixels.flatten(0, 1), self.image_size).sub_(0.5).permute(0, 3, 1, 2)
        # Of a network in half precision; float32 otherwise, also under autocast.
        dtype = self.film.weight.dtype
        features = self.vision(images.to(dtype))
        modulation = self.film(words.to(dtype)).repeat_interleave(self.num_cameras, dim=0)
        scale, shift = modulation[..., None, None].chunk(2, dim=1)
        features = torch.addcmul(shift, features, 1 + scale)
        if self.keypoints is not None:
            features = self.keypoints(features)
        features = self.normalise(features.reshape(len(pixels), -1))
        if state is not None:
            features = torch.cat([features, (state * _STATE_SCALE).to(features.dtype)], dim=1)
        hidden = self.trunk(features)
        knots = self.actor(hidden).view(len(pixels), -1, _NUM_KNOTS)
        value = self.critic(hidden).float()
        return _interpolated(knots), value if self.judges_actions else value[:, 0]

    def act(
        self, *, temperature: float = 1.0, generator: torch.Generator | None = None, **inputs: Tensor
    ) -> PolicyOutput:
        """Sample a chunk; greedy at temperature 0, with the log-probs of temperature 1."""
        logits, value = self(**inputs)
        tokens = sample_tokens(logits, temperature, generator)
        return PolicyOutput(self.decode(tokens), tokens, token_logprob(logits, tokens, temperature), value)

    def evaluate(self, tokens: Tensor, *, temperature: float = 1.0, **inputs: Tensor) -> PolicyEvaluation:
        """Log-probs, entropy and critic value of tokens (B, C*A)."""
        logits, value = self(**inputs)
        return PolicyEvaluation(*logprob_and_entropy(logits, tokens, temperature), value)

    def encode(self, actions: Tensor) -> Tensor:
        """Actions (B, C, A) in [-1, 1] -> tokens (B, C*A)."""
        return to_bins(actions).flatten(1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, C*A) -> actions (B, C, A)."""
        return from_bins(tokens).view(len(tokens), self.chunk, self.action_dim)

    def shard_units(self) -> list[nn.Module]:
        """The vision network and the actor hold most parameters."""
        return [self.vision, self.actor]

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json and model.safetensors, each whole or not at all."""
        with atomic_write(folder / "model.safetensors") as partial:
            save_file({name: value.contiguous() for name, value in self.state_dict().items()}, partial)
        with atomic_write(folder / "config.json") as partial:
            partial.write_text(json.dumps(self.config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path) -> TinyVLA:
        """Read what :meth:`save_pretrained` wrote.

        Raises:
            ValueError: for settings that this class does not have, or tensors that don't fit.
        """
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        config.pop("model_type", None)
        unknown = set(config) - set(inspect.signature(cls).parameters)
        if unknown:
            raise ValueError(f"{folder / 'config.json'}: tiny_vla has no {', '.join(sorted(unknown))}")
        policy = cls(**config)
        try:
            policy.load_state_dict(load_file(folder / "model.safetensors"))
        except RuntimeError as error:
            raise ValueError(f"{folder / 'model.safetensors'} does not fit its config.json: {error}") from error
        return policy


class _Keypoints(nn.Module):
    """(B, K, H, W) features -> (B, K, 2): the mean place of each channel, by a softmax over its places.

    Args:
        num_channels: K; each learns how sharp its softmax is.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.zeros(num_channels))

    def forward(self, features: Tensor) -> Tensor:
        sharpened = features * self.log_sharpness.exp()[:, None, None]
        share = sharpened.flatten(2).softmax(-1).view(features.shape)
        return torch.stack([_mean_place(share.sum(2)), _mean_place(share.sum(3))], dim=-1)


def _mean_place(share: Tensor) -> Tensor:
    """(..., L) shares of L places between -1 and 1 -> (...)."""
    return share @ torch.linspace(-1, 1, share.shape[-1], dtype=share.dtype, device=share.device)


def _averaged(pictures: Tensor, size: int) -> Tensor:
    """Uint8 (B, H, H, 3) -> float32 (B, size, size, 3), the means of squares, 1 for 255.

    Sums of integers, rows first: exactly what pooling gives, in a small part of its time on a CPU. Both terms of a sum
    have one type and few axes, or PyTorch adds them one by one.
    """
    factor = pictures.shape[1] // size
    if factor == 1:
        return pictures.float().div_(255)
    # The largest sum: an image of 16 bits holds squares of 11x11.
    dtype = torch.int16 if factor <= 11 else torch.int32
    rows = pictures.reshape(len(pictures), size, factor, -1)
    summed = sum((rows[:, :, i].to(dtype) for i in range(1, factor)), rows[:, :, 0].to(dtype))
    squares = summed.reshape(-1, 3 * factor)
    sums = sum((squares[:, 3 * i : 3 * i + 3] for i in range(1, factor)), squares[:, :3])
    return sums.float().div_(255 * factor**2).view(len(pictures), size, size, 3)


def _interpolated(knots: Tensor) -> Tensor:
    """(B, L, knots) -> float32 (B, L, 256), linearly, in full precision also under autocast."""
    with torch.autocast(knots.device.type, enabled=False):
        # On a CPU, a product takes half of the time of ``interpolate`` and its gradient.
        return knots.float() @ _interpolation(knots.device)


@functools.cache
def _interpolation(device: torch.device) -> Tensor:
    """Float32 (knots, 256): how much each knot has in each bin."""
    # Made in evaluation, it must still serve in training.
    with torch.inference_mode(False):
        identity = torch.eye(_NUM_KNOTS, device=device)
        return functional.interpolate(identity[None], NUM_BINS, mode="linear", align_corners=True)[0]


def _orthogonal(weight: Tensor, gain: float) -> None:
    # In float32: no half precision has the decomposition that it takes.
    exact = nn.init.orthogonal_(torch.empty_like(weight, dtype=torch.float32), gain)
    weight.data.copy_(exact)
