"""What is here and what will run: the findings of `speedproof doctor`."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.config import ModelConfig
from harness.data.hub import hub_reachable, told_to_stay_offline
from harness.errors import ConfigError, HarnessError
from harness.measurement.environment import PACKAGES, choose_device, describe_environment, gpu_uuid
from harness.measurement.roof import RoofSpec, measure_roof
from harness.measurement.sampler import open_source
from harness.training.model import KNOWN_SIZES, load_model_config
from harness.training.model_files import bundled_directory, check_bundled_weights
from harness.training.sizes import model_sizes


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's."""

    what: str
    ok: bool
    found: str
    consequence: str
    """What runs, or doesn't, because of it."""
    details: dict[str, Any] = field(default_factory=dict)
    """Numbers behind it, for machines."""

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows."""
        return "✓" if self.ok else "–", self.what, self.found, self.consequence


def examine_roof(model: str) -> Finding:
    """Measure what this machine can do at best, with products of a model's shapes.

    Raises ConfigError if the model's sizes can't be told, ModelError if its configuration can't be had.
    """
    weights: Literal["random", "pretrained"] = "random" if model in KNOWN_SIZES else "pretrained"
    sizes = model_sizes(load_model_config(ModelConfig(source=model, weights=weights)))
    if not sizes:
        raise ConfigError(
            f"the shapes of {model!r} can't be told from its configuration",
            remedy="use --model bundled, bundled-distilbert or one of " + ", ".join(KNOWN_SIZES),
        )
    roof = measure_roof(RoofSpec(hidden_size=sizes["hidden_size"], intermediate_size=sizes["intermediate_size"]))
    rates = [f"{dtype} {1000 * rate:,.0f} GFLOP/s ({roof.shapes[dtype]})" for dtype, rate in roof.matmul_tflops.items()]
    threads = "" if roof.threads is None else f" (threads: {roof.threads})"
    return Finding(
        what="roof",
        ok=True,
        found=f"products: {', '.join(rates)}; copy: {roof.copy_gb_per_s:,.0f} GB/s",
        consequence=f"best rates for shapes of {model}{threads}, in {roof.took_s:.1f} s; a run measures its own",
        details=dataclasses.asdict(roof),
    )


def examine_machine() -> Iterator[Finding]:
    """Look at device, sampler and compiler."""
    device = choose_device("auto")
    environment = describe_environment(device)
    on_cuda = device.type == "cuda"
    cores = f"{environment['cpu_cores']} cores, {environment['cpu_capability']}"
    yield Finding(
        what="device",
        ok=True,
        found=f"{environment['device_name']} ({device if on_cuda else cores})",
        consequence="all presets run here" if on_cuda else "quick and smoke run here; seed would take long",
    )
    source = open_source(device_type=device.type, gpu_uuid=gpu_uuid(device))
    if source.gpu is not None:
        source.gpu.close()
    has_nvml = source.kind == "nvml"
    but = "" if source.reason is None else f", but {source.reason}"
    yield Finding(
        what="NVML",
        ok=has_nvml,
        found=f"available{but}" if has_nvml else f"no: {source.reason}",
        consequence="power, clocks, utilisation are sampled"
        if has_nvml
        else "process CPU, memory and load are sampled through psutil; energy is not measured",
    )
    compiler = next((path for name in ("g++", "clang++", "c++") if (path := shutil.which(name))), None)
    yield Finding(
        what="C++ compiler",
        ok=compiler is not None,
        found=compiler or "none",
        consequence="torch.compile works" if compiler else "compile is not applicable on processors",
    )


def examine_software() -> Iterator[Finding]:
    """Look at bundled model, hub and versions."""
    try:
        found = f"all-MiniLM-L6-v2 {check_bundled_weights(bundled_directory()).form}, SHA-256 right"
        ok, consequence = True, "quick and seed-offline (widened to DistilBERT's sizes) need no hub"
    except HarnessError as error:
        ok, found, consequence = False, error.message, error.remedy
    yield Finding(what="bundled model", ok=ok, found=found, consequence=consequence)
    reachable, offline = hub_reachable(), told_to_stay_offline()
    yield Finding(
        what="hub",
        ok=reachable,
        found="reachable" if reachable else "not asked: HF_HUB_OFFLINE is set" if offline else "not reachable",
        consequence="hub models and SQuAD can be downloaded"
        if reachable
        else "only models and data in the local cache, files, the generator and the bundled model",
    )
    versions = describe_environment(choose_device("auto"))["packages"]
    missing = [name for name in PACKAGES if versions[name] is None]
    yield Finding(
        what="packages",
        ok=not missing,
        found=", ".join(f"{name} {versions[name] or 'missing'}" for name in PACKAGES),
        consequence="complete" if not missing else f"pip install {' '.join(missing)}",
    )
