"""A model as bytes: weights and golden cases as safetensors, everything else as canonical JSON, one digest over both.

No pickle: a model file can hold numbers and text and nothing that runs.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from workers.engine.forecast.calibration import Calibration
from workers.engine.forecast.config import NHitsConfig, TrainConfig
from workers.engine.forecast.evaluate import Metrics
from workers.engine.forecast.forecaster import Forecaster
from workers.engine.forecast.golden import Golden
from workers.engine.forecast.nhits import NHits

FORMAT: Final = "gekko-nhits-1"
WEIGHTS: Final = "model.safetensors"
MANIFEST: Final = "model.json"
_WEIGHT, _GOLDEN = "weight.", "golden."


class ArtifactError(ValueError):
    """A model file that is damaged, not what its digest says, or of an unknown kind."""


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where training data came from; ``sha256`` is over the closes as little-endian doubles, in order."""

    name: str
    source: str
    sha256: str
    rows: int
    interval_ns: int
    start: int
    """Start of the first bar, ns; 0 when the source does not say."""
    end: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a model but its numbers. It holds no wall time: the same training gives the same digest."""

    format: str
    name: str
    model: NHitsConfig
    training: TrainConfig
    calibration: Calibration
    metrics: Metrics
    data: tuple[Provenance, ...]
    best_step: int
    ended: str


class Artifact(msgspec.Struct, frozen=True):
    """A model's two files."""

    weights: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """SHA-256 in hex over the format and each part's name, length and bytes."""
        total = hashlib.sha256(FORMAT.encode())
        for name, part in ((WEIGHTS, self.weights), (MANIFEST, self.manifest)):
            total.update(f"\n{name} {len(part)}\n".encode())
            total.update(part)
        return total.hexdigest()


def pack(forecaster: Forecaster, golden: Golden, manifest: Manifest) -> Artifact:
    """The artifact of a model."""
    tensors: dict[str, Tensor] = {
        _WEIGHT + name: tensor.detach().cpu().contiguous() for name, tensor in forecaster.model.state_dict().items()
    }
    tensors[_GOLDEN + "closes"] = torch.from_numpy(golden.closes.copy())
    tensors[_GOLDEN + "quantiles"] = torch.from_numpy(golden.quantiles.copy())
    return Artifact(weights=save(tensors), manifest=msgspec.json.encode(manifest, order="sorted"))


def read_manifest(artifact: Artifact) -> Manifest:
    """The manifest; ArtifactError when it is not one of this format."""
    try:
        manifest = msgspec.json.decode(artifact.manifest, type=Manifest)
    except (msgspec.DecodeError, ValueError) as error:
        raise ArtifactError(f"the manifest cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise ArtifactError(f"expected a model of format {FORMAT}, was {manifest.format!r}")
    return manifest


def unpack(artifact: Artifact, digest: str, device: torch.device | str = "cpu") -> tuple[Forecaster, Golden, Manifest]:
    """Model, golden cases and manifest; ArtifactError unless the bytes are those that ``digest`` names."""
    if artifact.digest != digest:
        raise ArtifactError(f"expected model {digest}, the files are {artifact.digest}")
    manifest = read_manifest(artifact)
    try:
        tensors: dict[str, Any] = load(artifact.weights)
        network = NHits(manifest.model)
        weights = {name.removeprefix(_WEIGHT): part for name, part in tensors.items() if name.startswith(_WEIGHT)}
        network.load_state_dict(weights)
        closes, quantiles = tensors[_GOLDEN + "closes"], tensors[_GOLDEN + "quantiles"]
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise ArtifactError(f"the weights of model {digest} do not fit its manifest: {error}") from error
    forecaster = Forecaster(network, manifest.calibration, device)
    return forecaster, Golden(closes=closes.numpy(), quantiles=quantiles.numpy()), manifest
