"""A model on disk: whole or not at all, exactly what its digest says, good only with its known answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.support.forecasting import mean_reverting, packed, small_dataset, trained_on
from workers.adapters.model_store import ModelStore
from workers.engine.forecast.artifact import MANIFEST, WEIGHTS, Artifact, ArtifactError, read_manifest, unpack
from workers.engine.forecast.golden import Golden, GoldenMismatch, check_golden
from workers.live.model_host import ModelHost


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    dataset = small_dataset(mean_reverting(900))
    return packed(dataset, trained_on(dataset))[0]


@pytest.fixture
def store(tmp_path: Path, artifact: Artifact) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    store.save(artifact)
    return store


def test_a_model_comes_back_with_the_same_answers(artifact: Artifact) -> None:
    forecaster, golden, manifest = unpack(artifact, artifact.digest)
    assert check_golden(forecaster, golden) == 0.0
    assert manifest.data[0].source == "SYNTHETIC"


def test_every_byte_counts(artifact: Artifact) -> None:
    for part in (WEIGHTS, MANIFEST):
        data = bytearray(artifact.weights if part == WEIGHTS else artifact.manifest)
        for at in (0, len(data) // 2, len(data) - 1):
            data[at] ^= 1
            changed = (
                Artifact(bytes(data), artifact.manifest) if part == WEIGHTS else Artifact(artifact.weights, bytes(data))
            )
            assert changed.digest != artifact.digest
            with pytest.raises(ArtifactError, match="expected model"):
                unpack(changed, artifact.digest)
            data[at] ^= 1


def test_moving_bytes_from_one_part_to_the_other_changes_the_digest(artifact: Artifact) -> None:
    moved = Artifact(artifact.weights + artifact.manifest[:1], artifact.manifest[1:])
    assert moved.digest != artifact.digest


def test_a_manifest_of_another_kind_or_with_unknown_fields_is_refused(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_manifest(Artifact(b"", b"{}"))
    content = msgspec.json.decode(artifact.manifest)
    for change, words in (({"format": "gekko-nhits-9"}, "gekko-nhits-9"), ({"extra": 1}, "extra")):
        with pytest.raises(ArtifactError, match=words):
            read_manifest(Artifact(b"", msgspec.json.encode({**content, **change})))


def test_weights_that_do_not_fit_are_refused(artifact: Artifact) -> None:
    content = msgspec.json.decode(artifact.manifest)
    content["model"]["hidden"] = 17
    changed = Artifact(artifact.weights, msgspec.json.encode(content))
    with pytest.raises(ArtifactError, match="do not fit"):
        unpack(changed, changed.digest)
    broken = Artifact(b"no tensors", artifact.manifest)
    with pytest.raises(ArtifactError, match="do not fit"):
        unpack(broken, broken.digest)


def test_a_stored_model_that_was_changed_is_refused_and_saving_again_repairs_it(
    store: ModelStore, artifact: Artifact
) -> None:
    path = store.root / artifact.digest / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="were changed"):
        store.load(artifact.digest)
    store.save(artifact)
    assert store.load(artifact.digest) == artifact
    assert store.digests() == [artifact.digest]


@pytest.mark.parametrize("digest", ["../../etc", "", "ab" * 32])
def test_what_is_not_stored_is_refused(store: ModelStore, digest: str) -> None:
    with pytest.raises(ArtifactError):
        store.load(digest)


def test_an_answer_beyond_the_tolerance_is_a_mismatch(artifact: Artifact) -> None:
    forecaster, golden, _ = unpack(artifact, artifact.digest)
    for wrong in (golden.quantiles * 1.01, np.full_like(golden.quantiles, np.nan)):
        with pytest.raises(GoldenMismatch, match="known answers"):
            check_golden(forecaster, Golden(closes=golden.closes, quantiles=wrong))


def test_a_load_that_fails_keeps_what_was_loaded(store: ModelStore, artifact: Artifact, tmp_path: Path) -> None:
    host = ModelHost(store)
    host.load(artifact.digest)
    shutil.copytree(store.root / artifact.digest, store.root / ("cd" * 32))
    with pytest.raises(ArtifactError):
        host.load("cd" * 32)
    assert host.digests == (artifact.digest,)


def test_the_least_recently_used_model_goes_first(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    digests = []
    for seed in (1, 2, 3):
        dataset = small_dataset(mean_reverting(900, seed=seed))
        digests.append(store.save(packed(dataset, trained_on(dataset))[0]))
    host = ModelHost(store, most=2)
    host.load(digests[0])
    host.load(digests[1])
    host.get(digests[0])
    host.load(digests[2])
    assert host.digests == (digests[0], digests[2])
