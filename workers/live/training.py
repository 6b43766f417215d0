"""One training from its description to a model that is ready: gather, train, measure, save, register, warm up."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import msgspec
from django.conf import settings

from apps.core.errors import Invalid
from apps.fleet import services
from workers.adapters.history import Series
from workers.adapters.training_data import TrainSpec, gather
from workers.engine.forecast.artifact import FORMAT, Artifact, Manifest, pack
from workers.engine.forecast.evaluate import Metrics, evaluate
from workers.engine.forecast.golden import make_golden
from workers.engine.forecast.train import Progress, Trained, train
from workers.engine.forecast.windows import Dataset, build_dataset
from workers.live.fleet_member import FleetMember
from workers.live.pasts import home_past


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training stands, for people: ``done`` is from 0 to 1."""

    stage: str
    done: float
    detail: str


Report = Callable[[Stage], None]


class TrainingAborted(RuntimeError):
    """The process is ending; nothing of the training was kept."""


def run(request: dict[str, Any], member: FleetMember, report: Report) -> dict[str, Any]:
    """Train as ``request`` (a TrainSpec) says and return digest, name, metrics and timings.

    Invalid when the description is wrong; HistoryError when there is no data; DataError for bad prices;
    TrainingAborted when the process ends meanwhile.
    """
    try:
        spec = msgspec.convert(request, TrainSpec)
    except msgspec.ValidationError as error:
        raise Invalid(f"the training cannot be understood: {error}") from error
    report(Stage(stage="history", done=0.0, detail="asking for prices"))
    past = home_past()
    series = gather(spec, venue_url=settings.GEKKO_VENUE_URL, data_folder=settings.GEKKO_DATA, past=past)
    began = perf_counter()
    dataset = build_dataset(_named(series), spec.model, spec.training)
    trained = train(
        dataset,
        spec.model,
        spec.training,
        elapsed=lambda: perf_counter() - began,
        report=lambda progress: _go_on(member, report, progress),
    )
    train_s = perf_counter() - began
    report(Stage(stage="measuring", done=0.95, detail="against the last value and a ridge regression"))
    metrics = evaluate(trained.forecaster, dataset)
    artifact = _artifact(spec, series, dataset, trained, metrics)
    digest = member.host.store.save(artifact)
    _register(spec, member, artifact, metrics, series)
    report(Stage(stage="warming up", done=0.98, detail=digest[:12]))
    loaded = member.load(digest)
    return {
        "digest": digest,
        "name": spec.name,
        "metrics": msgspec.to_builtins(metrics),
        "best_step": trained.best_step,
        "steps": trained.steps,
        "ended": trained.ended,
        "train_s": train_s,
        "warm_ms": loaded.warm_ms,
    }


def _named(series: list[Series]) -> dict[str, Any]:
    return {f"{one.provenance.name} ({one.provenance.source})": one.closes for one in series}


def _go_on(member: FleetMember, report: Report, progress: Progress) -> None:
    if member.stopping.is_set():
        raise TrainingAborted(f"the process is ending at step {progress.step} of {progress.steps}; train again")
    report(_stage(progress))


def _stage(progress: Progress) -> Stage:
    gain = 1 - progress.best_loss / progress.naive_loss
    return Stage(
        stage="training",
        done=0.9 * progress.step / progress.steps,
        detail=f"step {progress.step} of at most {progress.steps}, {gain:+.2%} against naive on validation",
    )


def _artifact(spec: TrainSpec, series: list[Series], dataset: Dataset, trained: Trained, metrics: Metrics) -> Artifact:
    manifest = Manifest(
        format=FORMAT,
        name=spec.name,
        model=spec.model,
        training=spec.training,
        calibration=trained.forecaster.calibration,
        metrics=metrics,
        data=tuple(one.provenance for one in series),
        best_step=trained.best_step,
        ended=trained.ended,
    )
    return pack(trained.forecaster, make_golden(trained.forecaster, dataset), manifest)


def _register(spec: TrainSpec, member: FleetMember, artifact: Artifact, metrics: Metrics, series: list[Series]) -> None:
    services.register_model(
        member.ctx,
        digest=artifact.digest,
        name=spec.name,
        kind="nhits",
        config=msgspec.to_builtins(spec.model),
        metrics=msgspec.to_builtins(metrics),
        data=[msgspec.to_builtins(one.provenance) for one in series],
        size_bytes=len(artifact.weights) + len(artifact.manifest),
    )
