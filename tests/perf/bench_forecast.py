"""Forecasting: training time and skill, latency in process and through Celery.

Run: ``python -m tests.perf.bench_forecast``. Uses a state folder and servers of its own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

WARM, ROUNDS, CELERY_ROUNDS = 20, 1000, 300
Row = tuple[str, str, str, str]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gekko-bench-") as folder:
        os.environ["GEKKO_TEST_STATE"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings.test"
        import django

        django.setup()
        import torch

        torch.set_num_threads(1)
        rows: list[Row] = []
        artifact = _training(rows)
        host = _host(Path(folder), artifact)
        rows += [
            _measure(f"predict {count} series, in process", ROUNDS, _in_process(host, artifact.digest, count))
            for count in (1, 2, 32)
        ]
        with _celery_worker(Path(folder)) as call:
            rows += [
                _measure(
                    f"predict {count} series, through Celery", CELERY_ROUNDS, partial(call, artifact.digest, count)
                )
                for count in (2, 32)
            ]
    _print(rows)


def _training(rows: list[Row]):
    from workers.adapters import history
    from workers.adapters.training_data import TrainSpec
    from workers.engine.forecast.artifact import FORMAT, Manifest, pack
    from workers.engine.forecast.evaluate import evaluate
    from workers.engine.forecast.golden import make_golden
    from workers.engine.forecast.train import train
    from workers.engine.forecast.windows import build_dataset

    spec, sample = TrainSpec(), history.from_sample()
    dataset = build_dataset({"EURUSD": sample.closes}, spec.model, spec.training)
    wall, cpu = time.perf_counter(), time.process_time()
    trained = train(dataset, spec.model, spec.training, elapsed=lambda: time.perf_counter() - wall)
    rows.append(
        (
            f"train on {len(sample.closes)} hourly EUR/USD bars, {trained.steps} steps",
            f"{time.perf_counter() - wall:.1f} s wall",
            f"{time.process_time() - cpu:.1f} s CPU",
            "1",
        )
    )
    metrics = evaluate(trained.forecaster, dataset)
    rows.append(
        (
            "skill against the last value, MSE / MAE",
            f"{metrics.skill_mse:+.2%}",
            f"{metrics.skill_mae:+.2%}",
            str(metrics.windows),
        )
    )
    rows.append(("skill against a ridge, MSE", f"{metrics.skill_mse_against_ridge:+.2%}", "", str(metrics.windows)))
    rows.append(
        ("skill against a calibrated random walk, pinball", f"{metrics.skill_pinball:+.2%}", "", str(metrics.windows))
    )
    for claimed, covered in zip(metrics.claimed, metrics.coverage, strict=True):
        rows.append((f"coverage of the {claimed:.0%} interval", f"{covered:.1%}", "", str(metrics.windows)))
    manifest = Manifest(
        format=FORMAT,
        name="bench",
        model=spec.model,
        training=spec.training,
        calibration=trained.forecaster.calibration,
        metrics=metrics,
        data=(sample.provenance,),
        best_step=trained.best_step,
        ended=trained.ended,
    )
    return pack(trained.forecaster, make_golden(trained.forecaster, dataset), manifest)


def _host(folder: Path, artifact):
    from workers.adapters.model_store import ModelStore
    from workers.live.model_host import ModelHost

    store = ModelStore(folder / "models")
    store.save(artifact)
    return ModelHost(store)


def _request(digest: str, count: int) -> dict[str, object]:
    return {
        "request_id": uuid4().hex,
        "model_digest": digest,
        "reply_to": "gekko:forecast:bench",
        "as_of": 0,
        "interval_ns": 60_000_000_000,
        "instruments": {f"S{n}": [100.0 + (i * 7 + n) % 5 for i in range(64)] for n in range(count)},
        "sent_at": time.time_ns(),
    }


def _in_process(host, digest: str, count: int) -> Callable[[], None]:
    import msgspec

    from workers.live.model_host import ForecastRequest

    asked = msgspec.convert(_request(digest, count), ForecastRequest)

    def call() -> None:
        host.forecast(msgspec.structs.replace(asked, sent_at=time.time_ns()), time.time_ns)

    return call


@contextlib.contextmanager
def _celery_worker(state: Path) -> Iterator[Callable[[str, int], None]]:
    """A GPU worker as ``gekko up`` starts it; calling sends one request and waits for its reply."""
    import redis
    from django.conf import settings

    from controlplane.celery import app
    from controlplane.secrets import text_secret
    from tests.support.services import running_services

    password = text_secret(settings.SECRETS, "valkey_password")
    with (
        running_services(state, settings.GEKKO_VALKEY_PORT, password),
        redis.Redis.from_url(settings.REDIS_URL) as client,
    ):
        command = [sys.executable, "-m", "celery", "-A", "controlplane", "worker", "-Q", "gpu", "--pool", "threads",
                   "-c", "2", "-I", "workers.live.gpu_worker"]  # fmt: skip
        with (state / "gpu.log").open("wb") as log:
            worker = subprocess.Popen(command, env=dict(os.environ), stdout=log, stderr=log)
        try:

            def call(digest: str, count: int) -> None:
                last = (
                    client.xinfo_stream("gekko:forecast:bench")["last-generated-id"]
                    if client.exists("gekko:forecast:bench")
                    else "0"
                )
                asked = _request(digest, count)
                app.send_task("gekko.forecast.predict", [asked], expires=120)
                if not client.xread({"gekko:forecast:bench": last}, count=1, block=60_000):
                    raise RuntimeError((state / "gpu.log").read_text()[-4000:])

            yield call
        finally:
            worker.terminate()
            worker.wait(20)


def _measure(name: str, rounds: int, call: Callable[[], None]) -> Row:
    for _ in range(WARM):
        call()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        call()
        taken.append((time.perf_counter_ns() - began) / 1e6)
    taken.sort()
    return name, f"{taken[rounds // 2]:.2f} ms", f"{taken[int(rounds * 0.99)]:.2f} ms", str(rounds)


def _print(rows: list[Row]) -> None:
    width = max(len(row[0]) for row in rows)
    print(f"{'':{width}}  {'p50':>12} {'p99':>12} {'count':>7}   load {os.getloadavg()[0]:.1f}")
    for name, middle, tail, count in rows:
        print(f"{name:{width}}  {middle:>12} {tail:>12} {count:>7}")


if __name__ == "__main__":
    main()
