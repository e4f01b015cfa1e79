import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from feat2go.encoders.mobilenet import mobilenet_v2_layers


@pytest.fixture
def frames():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 40, 48, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture
def store_mobilenet(tmp_path, monkeypatch):
    """Put an untrained MobileNetV2 of a given seed where the packaged weights would be."""
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "home"))

    def store(seed):
        torch.manual_seed(seed)
        layers = mobilenet_v2_layers()
        for name, buffer in layers.named_buffers():
            if name.endswith(("mean", "var")):
                buffer.uniform_(0.5, 1.5)
        folder = tmp_path / "home" / "weights" / "mobilenet_v2"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "model.safetensors"
        save_file({f"features.{name}": tensor for name, tensor in layers.state_dict().items()}, file)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "provenance.json").write_text(json.dumps({"files": {file.name: sha256}}))
        return layers.eval()

    return store
