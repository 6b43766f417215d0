"""The public form of the fleet's rows, the same in messages and in the API."""

from __future__ import annotations

from typing import Any

from apps.fleet.models import Device, ModelVersion, Node


def node(row: Node) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "hostname": row.hostname,
        "os": row.os,
        "region": row.region,
        "version": row.version,
        "state": row.state,
        "registered_at": row.registered_at.isoformat(),
        "last_heartbeat_at": row.last_heartbeat_at.isoformat(),
        "lease_expires_at": row.lease_expires_at.isoformat(),
    }


def device(row: Device) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "node": str(row.node_id),
        "kind": row.kind,
        "index": row.index,
        "name": row.name,
        "memory_bytes": row.memory_bytes,
        "unified": row.unified,
        "backend_version": row.backend_version,
        "health": row.health,
        "checks": row.checks,
        "probed_at": row.probed_at.isoformat(),
    }


def model(row: ModelVersion) -> dict[str, Any]:
    return {
        "digest": row.digest,
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "config": row.config,
        "metrics": row.metrics,
        "data": row.data,
        "size_bytes": row.size_bytes,
        "created_by": row.created_by,
        "created_at": row.created_at.isoformat(),
        "ready_at": row.ready_at.isoformat() if row.ready_at else None,
    }
