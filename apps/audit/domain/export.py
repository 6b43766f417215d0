"""The JSON Lines form of a report, and its verification by anybody, without Gekko's database.

Lines: one ``header`` (query, counts, exceptions, signed checkpoint, public key), one ``entry`` each, one ``proof``
(Merkle subset proof of these entries, consistency with the previous report, digest of all lines before).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from apps.audit.domain.canonical import canonical_bytes, chain_hash, leaf_hash
from apps.audit.domain.checkpoints import Malformed, Signed, key_id, raw_public, signature_fault
from apps.audit.domain.merkle import root_from_subset, verify_consistency

FORMAT: Final = "gekko-audit-export/1"


def query_hash(query: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical query: period and filters."""
    return hashlib.sha256(canonical_bytes(query)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ExportRow:
    columns: dict[str, Any]
    prev_hash: bytes
    leaf_hash: bytes


@dataclass(frozen=True, kw_only=True)
class Export:
    """Everything that the three forms of a report are made of."""

    query: dict[str, Any]
    rows: Sequence[ExportRow]
    exceptions: Sequence[int]
    checkpoint: Signed
    public_key: Ed25519PublicKey
    previous: Signed | None
    subset: Sequence[bytes]
    consistency: Sequence[bytes]

    def header(self) -> dict[str, Any]:
        return {
            "type": "header",
            "format": FORMAT,
            "query": self.query,
            "query_hash": query_hash(self.query),
            "counts": self.counts(),
            "exceptions": list(self.exceptions),
            "checkpoint": self.checkpoint.as_json(),
            "previous": self.previous.as_json() if self.previous else None,
            "public_key": base64.b64encode(raw_public(self.public_key)).decode(),
        }

    def counts(self) -> dict[str, Any]:
        """Rows in all, and by event, actor and outcome."""
        found: dict[str, Any] = {"entries": len(self.rows), "exceptions": len(self.exceptions)}
        for name in ("event", "actor_name", "outcome"):
            by: dict[str, int] = {}
            for row in self.rows:
                by[row.columns[name]] = by.get(row.columns[name], 0) + 1
            found[f"by_{name}"] = dict(sorted(by.items()))
        return found


def write_lines(export: Export) -> Iterator[bytes]:
    """The file, line by line."""
    digest = hashlib.sha256()

    def line(data: Mapping[str, Any]) -> bytes:
        text = canonical_bytes(data) + b"\n"
        digest.update(text)
        return text

    yield line(export.header())
    for row in export.rows:
        hashes = {"leaf_hash": row.leaf_hash.hex(), "prev_hash": row.prev_hash.hex()}
        yield line({"type": "entry", "columns": row.columns, **hashes})
    proof = {
        "type": "proof",
        "subset": [node.hex() for node in export.subset],
        "consistency": [node.hex() for node in export.consistency],
        "digest": digest.hexdigest(),
    }
    yield canonical_bytes(proof) + b"\n"


@dataclass(kw_only=True)
class Verdict:
    """What the verification of a file found. ``key_id`` must be compared with one known from elsewhere."""

    entries: int = 0
    size: int = 0
    root: str = ""
    key_id: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults


def verify_export(path: Path, *, trusted_key: bytes | None = None) -> Verdict:
    """Verify an exported file by itself; ``trusted_key`` (32 raw bytes) pins who must have signed it."""
    lines = path.read_bytes().splitlines(keepends=True)
    try:
        header, entries, proof = _read(lines)
        return _judge(lines, header, entries, proof, trusted_key)
    except (Malformed, KeyError, TypeError, ValueError, AttributeError) as error:
        return Verdict(faults=[f"not a readable export: {type(error).__name__} {error}"])


def _read(lines: Sequence[bytes]) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    parsed = [json.loads(line) for line in lines]
    types = [line["type"] for line in parsed]
    if len(parsed) < 2 or types != ["header", *["entry"] * (len(parsed) - 2), "proof"]:
        raise Malformed("expected a header, entries and a proof")
    if parsed[0]["format"] != FORMAT:
        raise Malformed(f"expected the format {FORMAT}, was {parsed[0]['format']}")
    return parsed[0], parsed[1:-1], parsed[-1]


def _judge(
    lines: Sequence[bytes],
    header: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
    proof: Mapping[str, Any],
    trusted_key: bytes | None,
) -> Verdict:
    signed = Signed.from_json(header["checkpoint"], "export")
    verdict = Verdict(entries=len(entries), size=signed.statement.size, root=signed.statement.root.hex())
    verdict.faults += _line_faults(lines, header, entries, proof)
    verdict.faults += _entry_faults(entries)
    leaves = {int(entry["columns"]["seq"]) - 1: leaf_hash(canonical_bytes(entry["columns"])) for entry in entries}
    root = root_from_subset(signed.statement.size, leaves, [bytes.fromhex(node) for node in proof["subset"]])
    if root != signed.statement.root:
        verdict.faults.append("the entries and the proof do not lead to the signed root")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(header["public_key"], validate=True))
    verdict.key_id = key_id(public)
    if trusted_key is not None and raw_public(public) != trusted_key:
        verdict.faults.append(f"signed with another key than the trusted one: {verdict.key_id}")
    fault = signature_fault(signed, {verdict.key_id: public})
    verdict.faults += [f"checkpoint: {fault}"] if fault else []
    verdict.faults += _consistency_faults(header, proof, signed, {verdict.key_id: public})
    return verdict


def _line_faults(
    lines: Sequence[bytes], header: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], proof: Mapping[str, Any]
) -> Iterator[str]:
    if hashlib.sha256(b"".join(lines[:-1])).hexdigest() != proof["digest"]:
        yield "the file was changed after it was written: its digest differs"
    if query_hash(header["query"]) != header["query_hash"]:
        yield "the query does not give its hash"
    if header["counts"]["entries"] != len(entries):
        yield f"the header counts {header['counts']['entries']} entries, the file has {len(entries)}"
    odd = [entry["columns"]["seq"] for entry in entries if entry["columns"]["outcome"] != "success"]
    if odd != header["exceptions"]:
        yield "the list of exceptions is not that of the entries"


def _entry_faults(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    last_seq, chain = 0, b""
    for entry in entries:
        seq = int(entry["columns"]["seq"])
        leaf = leaf_hash(canonical_bytes(entry["columns"]))
        if seq <= last_seq:
            yield f"entry {seq} is out of order"
        if leaf.hex() != entry["leaf_hash"]:
            yield f"the columns of entry {seq} do not give its hash"
        if seq == last_seq + 1 and chain and bytes.fromhex(entry["prev_hash"]) != chain:
            yield f"entry {seq} does not follow entry {last_seq}"
        last_seq, chain = seq, chain_hash(bytes.fromhex(entry["prev_hash"]), leaf)


def _consistency_faults(
    header: Mapping[str, Any], proof: Mapping[str, Any], signed: Signed, keys: Mapping[str, Ed25519PublicKey]
) -> Iterator[str]:
    if header["previous"] is None:
        return
    before = Signed.from_json(header["previous"], "export")
    fault = signature_fault(before, keys)
    if fault:
        yield f"previous checkpoint: {fault}"
    path = [bytes.fromhex(node) for node in proof["consistency"]]
    old, new = before.statement, signed.statement
    if not verify_consistency(old.size, new.size, old.root, new.root, path):
        yield "the log is not a continuation of the previous report's log"
