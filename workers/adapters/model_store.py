"""Models as folders named by their digest: ``<root>/<digest>/{model.safetensors,model.json}``."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from workers.engine.forecast.artifact import MANIFEST, WEIGHTS, Artifact, ArtifactError


class ModelStore:
    """A content-addressed folder. A model is there whole or not at all, and never changes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, artifact: Artifact) -> str:
        """Write the artifact, durable before it can be seen under its digest; return the digest."""
        digest = artifact.digest
        target = self.root / digest
        if target.is_dir() and self._intact(digest):
            return digest
        self.root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
        try:
            _write(staging / WEIGHTS, artifact.weights)
            _write(staging / MANIFEST, artifact.manifest)
            _sync(staging)
            if target.is_dir():
                shutil.rmtree(target)
            staging.rename(target)
            _sync(self.root)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return digest

    def load(self, digest: str) -> Artifact:
        """The bytes of a model; ArtifactError when it is missing or not what its name says."""
        folder = self.root / digest
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ArtifactError(f"expected a SHA-256 in hex as model digest, was {digest!r}")
        try:
            artifact = Artifact((folder / WEIGHTS).read_bytes(), (folder / MANIFEST).read_bytes())
        except FileNotFoundError as error:
            raise ArtifactError(f"there is no model {digest} in {self.root}: train one or copy it there") from error
        if artifact.digest != digest:
            raise ArtifactError(f"the files of model {digest} were changed: they are {artifact.digest}")
        return artifact

    def digests(self) -> list[str]:
        """What is stored, by digest."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))

    def _intact(self, digest: str) -> bool:
        try:
            self.load(digest)
        except ArtifactError:
            return False
        return True


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
