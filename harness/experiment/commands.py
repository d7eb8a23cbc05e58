"""What the parent asks of a worker and what it is answered: one dataclass a command, sent as a line of JSON.

A command names its answer's type in brackets, None where there is nothing to say; `harness.experiment.session` has the
handler of each. A worker imports this before PyTorch, so it imports nothing of weight.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from harness.records.checks import AuditCost, AuditPlace, AuditRecord, BlockKind, FootprintRecord
from harness.records.perturbation import PerturbationRecord, TwinRecord
from harness.records.serialise import build

Answer = TypeVar("Answer")


class Command(Generic[Answer]):
    """A command, by the type of its answer."""

    def encode(self) -> str:
        """Return the line that `decode` reads."""
        return json.dumps([type(self).__name__, dataclasses.asdict(typing.cast(Any, self))])

    def read_answer(self, data: Any) -> Answer:
        """Return the answer from what JSON carried; ConfigError if it is not what this command is answered."""
        (answer,) = typing.get_args(typing.cast(Any, type(self)).__orig_bases__[0])
        return typing.cast(Answer, None if answer is type(data) else build(answer, data))


def decode(line: str) -> Command[Any]:
    """Return the command that a line holds; ConfigError if it lacks an argument or has an unknown one."""
    name, arguments = json.loads(line)
    return build({kind.__name__: kind for kind in Command.__subclasses__()}[name], arguments)


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """What a worker that is ready tells of itself."""

    refusal: str | None
    """Why a strategy can't be applied; then the setup is the baseline's."""
    batch_size: int
    eval_batch_size: int
    train_windows: int
    validation_windows: int
    device: str
    gpu_uuid: str | None


@dataclass(frozen=True, kw_only=True)
class JobEnd:
    """A job is over, its records are written."""

    elapsed_s: float
    """By the worker's clock, since its process was asked for."""


@dataclass(frozen=True, kw_only=True)
class SegmentWork:
    """What a segment did."""

    work: dict[str, int]
    """As in `BlockRecord`; empty for evaluation."""
    allocator_retries: int | None
    """Of the device's allocator since the process began; None without CUDA."""
    audit_cost: AuditCost | None = None
    """Of the looks at its steps; None of a timed one."""


@dataclass(frozen=True, kw_only=True)
class Prepare(Command[Readiness]):
    """Get ready without a job."""


@dataclass(frozen=True, kw_only=True)
class RunJob(Command[JobEnd]):
    """Fine-tune, watched by the sampler, and write the records into the directory."""

    directory: str


@dataclass(frozen=True, kw_only=True)
class Rest(Command[None]):
    """Give back device memory that is not needed while another worker runs its job."""


@dataclass(frozen=True, kw_only=True)
class LoadBlock(Command[None]):
    """Take up the samples of the next segments."""

    kind: BlockKind
    numbers: tuple[int, ...]
    """Of the windows."""
    rehearse: bool
    """Run them once untimed, if their shapes may be new."""
    repetitions: int
    """Times that each segment will go through them."""


@dataclass(frozen=True, kw_only=True)
class RunSegment(Command[SegmentWork]):
    """Go through the block's samples."""

    repetitions: int
    audited: bool = False
    """Ask about every step; such a segment is never timed."""


@dataclass(frozen=True, kw_only=True)
class Replay(Command[AuditRecord]):
    """Replay a step of another worker, which has written it to `path`, on the windows that were planned for it."""

    path: str
    where: AuditPlace
    seed: int
    """Of the contender's trial."""
    step: int
    """Counted from 1 over the whole training, or over the segment."""
    block: tuple[int, ...]
    """Window numbers of the segment's block; empty for a job."""
    repetitions: int
    """Of the segment."""
    lowers_precision: bool
    """Whether the contender claims a lower precision; see `harness.records.tolerances.tolerance_of`."""
    measured: bool = False
    """Measure too how its rounding compares with what scatters gradients anyway, and keep it for a twin where it draws
    other random numbers than the reference; see `EndReplays`."""


@dataclass(frozen=True, kw_only=True)
class KeptStep:
    """An audited step whose snapshot was kept until the end of its job, with what is planned for it."""

    path: str
    epoch: int
    step: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """What was measured beside a job's replays."""

    record: PerturbationRecord | None
    """None if nothing was."""
    kept: tuple[KeptStep, ...]
    """The steps that a twin is wanted for: of a contender that draws other random numbers than the reference."""


@dataclass(frozen=True, kw_only=True)
class EndReplays(Command[Perturbed]):
    """Say what was measured beside the replays of a job, which is over."""


@dataclass(frozen=True, kw_only=True)
class MakeTwin(Command[None]):
    """Apply the strategies to a fresh model, make audited steps with it, and save its gradients."""

    steps: tuple[KeptStep, ...]
    path: str


@dataclass(frozen=True, kw_only=True)
class CompareTwin(Command[TwinRecord]):
    """Compare a twin's gradients, in the file `path`, with the reference's and with the audited steps'."""

    steps: tuple[KeptStep, ...]
    path: str
    record: PerturbationRecord
    """Of the same job, whose scatter the deviations are measured in."""


@dataclass(frozen=True, kw_only=True)
class SaveUpdates(Command[None]):
    """Make some updates under equal conditions and save them."""

    path: str
    of_reference: bool
    """Make the fp32 reference's: no strategy applied, whatever this contender is."""


@dataclass(frozen=True, kw_only=True)
class TakeFootprint(Command[FootprintRecord]):
    """Say what runs, by the profiler: nothing is timed afterwards."""


@dataclass(frozen=True, kw_only=True)
class RunProfile(Command[None]):
    """Profile some steps; write trace and record into the directory."""

    directory: str
