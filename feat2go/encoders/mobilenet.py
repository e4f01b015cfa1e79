"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381) with packaged ImageNet weights."""

from __future__ import annotations

import math
from dataclasses import asdict

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from feat2go.core import weights
from feat2go.encoders.frozen import FrozenEncoder
from feat2go.encoders.preprocess import Preprocess

# Table 2 of the paper: expansion t, channels c, repeats n, stride s.
BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
NUM_LAYERS = 19


class MobileNetV2(FrozenEncoder):
    """MobileNetV2, pretrained on ImageNet. Needs ``feat2go weights get mobilenet_v2``.

    Args:
        image_size: side that frames are resized to (bilinear, antialiased), a multiple of the layer's stride.
        layer: which of the layers 0 to 18 gives the features; -1 is the last. At 224 pixels, 18 gives 7x7 patches of
            1280 channels and 13 gives 14x14 of 96. The last follows an episode's time best: rank correlation of the
            similarity to the last frame with time .87 on simulated arms, .84 for layer 13.
        batch_size: frames at once.

    Raises:
        ValueError: for a layer or image size that don't fit.
        WeightsError: if the weights are absent or damaged.
    """

    def __init__(self, image_size: int = 224, layer: int = -1, batch_size: int = 16) -> None:
        if not -NUM_LAYERS <= layer < NUM_LAYERS:
            raise ValueError(f"layer must be in [{-NUM_LAYERS}, {NUM_LAYERS}), got {layer}")
        layer %= NUM_LAYERS
        layers = mobilenet_v2_layers()
        state = load_file(weights.path("mobilenet_v2") / "model.safetensors")
        layers.load_state_dict({name.removeprefix("features."): tensor for name, tensor in state.items()})
        features = nn.Sequential(*list(layers)[: layer + 1])
        convolutions = [module for module in features.modules() if isinstance(module, nn.Conv2d)]
        stride = math.prod(convolution.stride[0] for convolution in convolutions)
        if image_size < stride or image_size % stride:
            raise ValueError(f"image_size must be a multiple of {stride}, got {image_size}")
        preprocess = Preprocess(image_size, "bilinear")
        super().__init__(
            _Grid(preprocess, features),
            feature_shape=((image_size // stride) ** 2, convolutions[-1].out_channels),
            settings={"preprocess": asdict(preprocess), "layer": layer},
            batch_size=batch_size,
        )
        # Before folding, whose last bits depend on the machine.
        self._fingerprint = self.fingerprint
        fold_batch_norms(features)
        features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _Grid(nn.Module):
    def __init__(self, preprocess: Preprocess, features: nn.Sequential) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.features = features

    def forward(self, frames: Tensor) -> Tensor:
        grid: Tensor = self.features(self.preprocess(frames).contiguous(memory_format=torch.channels_last))
        return grid.flatten(2).transpose(1, 2)


def mobilenet_v2_layers() -> nn.Sequential:
    """The untrained layers 0 to 18."""
    layers: list[nn.Module] = [nn.Sequential(*_convolution(3, 32, kernel=3, stride=2))]
    channels = 32
    for expansion, out_channels, repeats, first_stride in BLOCKS:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            layers.append(InvertedResidual(channels, out_channels, stride, expansion))
            channels = out_channels
    layers.append(nn.Sequential(*_convolution(channels, 1280, kernel=1)))
    return nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1 without an activation."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        widen = _convolution(in_channels, hidden, kernel=1) if expansion > 1 else []
        narrow = [nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.conv = nn.Sequential(*widen, *_convolution(hidden, hidden, 3, stride, groups=hidden), *narrow)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.has_shortcut else y


class _Pointwise(nn.Module):
    """A 1x1 convolution whose kernel doesn't depend on how many frames come together.

    On a CPU with one thread, PyTorch leaves batches below 16 to a kernel that takes half as long again and rounds
    otherwise (``use_mkldnn`` in ATen's Convolution.cpp). With more threads it takes oneDNN's, as this always does.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        own = self.convolution
        has_onednn = x.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if has_onednn:
            return torch.mkldnn_convolution(x, own.weight, own.bias, (0, 0), own.stride, own.dilation, own.groups)
        y: Tensor = own(x)
        return y


def fold_batch_norms(features: nn.Sequential) -> None:
    """Scale and shift inside the convolutions, in place: the same features, nearly twice as fast on a CPU."""
    for index, layer in enumerate(features):
        if isinstance(layer, InvertedResidual):
            layer.conv = _folded(layer.conv)
        elif isinstance(layer, nn.Sequential):
            features[index] = _folded(layer)


def _folded(modules: nn.Sequential) -> nn.Sequential:
    folded: list[nn.Module] = []
    for module in modules:
        previous = folded[-1] if folded else None
        if isinstance(module, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            folded[-1] = fuse_conv_bn_eval(previous, module)
        else:
            folded.append(module)
    return nn.Sequential(*map(_independent_of_batch, folded))


def _independent_of_batch(module: nn.Module) -> nn.Module:
    return _Pointwise(module) if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) else module


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    ]
