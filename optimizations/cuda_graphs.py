"""The whole step as one CUDA graph.

What it changes: forward, backward, clipping and AdamW are recorded once for each batch shape and then replayed with one
launch. Batches are copied into fixed buffers; the learning rate is a tensor that the schedule fills. There are few
shapes: padded batches go up to the next multiple of 32 columns, packed ones get one more window of padding tokens, up
to the next multiple of 512 tokens (of max_length, if that is less). The lengths of the whole training's batches are
known before it starts: each shape that comes at least 6 times is recorded in the warm-up, all of them in one go, and
what is rarer runs eagerly (the last, smaller batch of an epoch as a rule). Nothing is recorded in a step.
AdamW is the fused one, as in fused_adamw, and clipping as in foreach_clipping, so that a stack with them is the same.
Why it is faster: an eager step of BERT-base has some thousand launches of 5 to 10 us of host time, and small batches on
fast GPUs wait for them. Predicted before measuring: at most what the ledger calls launch gaps and idle. Measured on an
H100 (bundled-distilbert, real questions, 16 windows in one packed row, bf16 autocast): 0.37 ms of host time a step of
5.7 ms, 5 graphs for 300 of 305 steps; between the kernels of a replay 0.4 ms are left. Against eager steps: not
measured.
When it is not: where the GPU is busy anyway; short jobs with many shapes, as each shape is run and recorded once (the
warm-up with 5 shapes took 0.3 s in a process that had made graphs before, and 0.75 to 1.2 s in a new one). Every graph
keeps its own gradients (4 bytes a parameter); activations share one pool.
What it does to the numbers: nothing; dropout draws new random numbers in each replay. Tokens of padding that fill a
bucket are masked, or a window of their own without a label, and not counted as computed tokens.
Sources: PyTorch CUDA semantics, "CUDA Graphs" (whole-network capture, memory pools); pytorch/pytorch#64339 (warm-up off
the default stream), #187745 (one stream for warm-up and capture), #180090 (stale streams in autograd).
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.profiler import record_function

from harness.registry import register
from harness.strategy import Batch, Effect, Stage, StepOutcome, Strategy, TrainSetup, Windows
from optimizations.foreach_clipping import clip_together
from optimizations.fused_adamw import make_fused_adamw
from optimizations.graphs.shapes import COLUMN_STEP, TOKEN_STEP, Shape, fill_bucket, shape_of

MAX_GRAPHS = 32
"""Shapes beyond as many run eagerly, the rarest of them: each graph keeps a set of gradients."""

LEAST_USES = 6
"""Steps of one shape that pay for recording it: that takes about three eager steps (one run before it, the recording,
the making of the graph), and a replay saves about half of one. Both are estimates for steps that wait for launches."""

FIRST_WARM_UPS = 3
"""Eager steps before the first capture, as PyTorch's notes have it: libraries set themselves up in the first ones."""

LATER_WARM_UPS = 1
"""Before the captures of further shapes, which may run kernels that have not been loaded yet."""


def state_tensors(model: nn.Module, optimizer: Optimizer) -> list[Tensor]:
    """Return every tensor that a step changes: parameters, buffers, the optimizer's state."""
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return [*(parameter.detach() for parameter in model.parameters()), *model.buffers(), *states]


@contextlib.contextmanager
def undone(model: nn.Module, optimizer: Optimizer, device: torch.device) -> Iterator[None]:
    """Afterwards parameters, optimizer state and random state are as before, each tensor at its old address.

    State that the steps within have made is set to 0, as AdamW begins: a graph has its address.
    """
    before = {tensor.data_ptr(): tensor.clone() for tensor in state_tensors(model, optimizer)}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    for tensor in state_tensors(model, optimizer):
        saved = before.get(tensor.data_ptr())
        if saved is None:
            tensor.zero_()
        else:
            tensor.copy_(saved)


Outputs = tuple[Tensor, ...]


class GraphRecorder:
    """Captures into CUDA graphs that share one memory pool: they never run at the same time, and outputs are cloned."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, run: Callable[[], Outputs], times: int) -> None:
        """Run it on the stream of the captures, so that libraries and autograd know that one."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(times):
                run()
        current.wait_stream(self._stream)

    def record(self, run: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        """Capture one run, which computes nothing yet.

        Return its outputs, and a function that runs it again into the same tensors.
        """
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            outputs = run()
        return outputs, graph.replay


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """One shape's step: what it reads, what it writes, how it runs again."""

    batch: Batch
    loss: Tensor
    norm: Tensor
    gradients: tuple[Tensor | None, ...]
    """Of each trained parameter; None where the loss has none."""
    replay: Callable[[], None]


class GraphedStep:
    """A step function that replays the shapes of batch it has recorded in `prepare`; others run eagerly."""

    def __init__(
        self, setup: TrainSetup, optimizer: Optimizer, scheduler: LRScheduler, recorder: GraphRecorder
    ) -> None:
        self._setup = setup
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._recorder = recorder
        self._rates = [torch.zeros((), device=setup.device) for _ in optimizer.param_groups]
        self._parameters = [parameter for parameter in setup.model.parameters() if parameter.requires_grad]
        self._steps: dict[Shape, RecordedStep] = {}
        self._chosen = ""

    def __call__(self, batch: Batch) -> StepOutcome:
        """Take one step; nothing waits for the device, and nothing is recorded."""
        filled = fill_bucket(batch, max_length=self._setup.max_length)
        recorded = self._steps.get(shape_of(filled))
        for rate, group in zip(self._rates, self._optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        if recorded is None:
            loss, norm, *_ = self._update(filled)
        else:
            tensors = filled.tensors()
            for name, buffer in recorded.batch.tensors().items():
                buffer.copy_(tensors[name], non_blocking=True)
            with record_function("graph"):
                recorded.replay()
            for parameter, gradient in zip(self._parameters, recorded.gradients, strict=True):
                parameter.grad = gradient
            # The next replay writes into the same tensors.
            loss, norm = recorded.loss.clone(), recorded.norm.clone()
        self._scheduler.step()
        return StepOutcome(loss=loss, gradient_norm=norm)

    def choose(self, windows: Windows, plan: list[np.ndarray], *, repeated: bool) -> list[np.ndarray]:
        """Return a planned batch of each shape that comes often enough, the most frequent shape first.

        Only a few batches are made, one for each set of buckets: its number of windows, its longest window's columns,
        its tokens. Whatever the layout, padded or packed, the filled shape follows from these.
        """
        max_length = self._setup.max_length
        alike: dict[tuple[int, int, int], list[np.ndarray]] = defaultdict(list)
        for numbers in plan:
            lengths = windows.lengths[numbers]
            columns, tokens = -(-int(lengths.max()) // COLUMN_STEP), int(lengths.sum()) // min(TOKEN_STEP, max_length)
            alike[len(numbers), columns, tokens].append(numbers)
        by_shape: dict[Shape, list[np.ndarray]] = defaultdict(list)
        for batches in alike.values():
            filled = fill_bucket(self._setup.collate(windows, batches[0]), max_length=max_length)
            by_shape[shape_of(filled)] += batches
        least = 1 if repeated else LEAST_USES
        frequent = (batches for batches in by_shape.values() if len(batches) >= least)
        chosen = sorted(frequent, key=len, reverse=True)[:MAX_GRAPHS]
        self._chosen = "" if repeated else f", for {sum(map(len, chosen))} of {len(plan)} steps"
        return [batches[0] for batches in chosen]

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Record the shapes of the batches in one go; parameters, optimizer and random state are as before."""
        filled = [fill_bucket(batch, max_length=self._setup.max_length) for batch in batches]
        new = {shape_of(batch): batch for batch in filled if shape_of(batch) not in self._steps}
        # The largest first: the others find room in the memory that it leaves in the pool.
        buffers = [batch.map(Tensor.clone) for batch in new.values()]
        buffers.sort(key=lambda batch: -batch.inputs["input_ids"].numel())
        buffers = buffers[: MAX_GRAPHS - len(self._steps)]
        if not buffers:
            return
        first = not self._steps
        with undone(self._setup.model, self._optimizer, self._setup.device):
            for number, batch in enumerate(buffers):
                times = FIRST_WARM_UPS if first and number == 0 else LATER_WARM_UPS
                self._recorder.warm_up(partial(self._update, batch), times)
            # After all the others, as each capture gives back what memory they left.
            for batch in buffers:
                (loss, norm, *_), replay = self._recorder.record(partial(self._update, batch))
                gradients = tuple(parameter.grad for parameter in self._parameters)
                self._steps[shape_of(batch)] = RecordedStep(
                    batch=batch, loss=loss, norm=norm, gradients=gradients, replay=replay
                )

    def describe(self) -> dict[str, str]:
        """Return how many graphs there are, and how much of the plan they were chosen for."""
        return {"captures in warm-up": f"{len(self._steps)} graphs{self._chosen}"}

    def _update(self, batch: Batch) -> Outputs:
        """Forward to update, all of it on the device; return loss, norm, and all gradients."""
        setup = self._setup
        self._optimizer.zero_grad(set_to_none=True)
        # Without the cache: what it kept would lie in a graph's memory.
        with setup.autocast(cache=False):
            loss = setup.forward_loss(setup.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = setup.clip_gradients(self._parameters, setup.training.max_grad_norm)
        # Meanwhile the learning rates are tensors, which a graph reads anew in each replay. They stay numbers on the
        # host for the schedule and the records, which must not wait for the device.
        groups = self._optimizer.param_groups
        numbers = [group["lr"] for group in groups]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"] = rate
        try:
            self._optimizer.step()
        finally:
            for group, number in zip(groups, numbers, strict=True):
                group["lr"] = number
        gradients = (parameter.grad for parameter in self._parameters if parameter.grad is not None)
        return (loss.detach(), norm.detach(), *gradients)


@register
class CudaGraphs(Strategy):
    """One launch a step."""

    name = "cuda_graphs"
    summary = "The whole step replayed as one CUDA graph for each batch shape, fused AdamW"
    effect = Effect.SAME_MATH
    stage = Stage.GRAPH
    addresses = ("small_kernels",)
    devices = ("cuda",)
    elsewhere = "CUDA graphs need a CUDA device"
    conflicts = ("amp_fp16",)

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Padding to a bucket must not change the loss."""
        if setup.training.loss_over != "window":
            return "the loss runs over padding too (training.loss_over = row), so filling a bucket would change it"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Replace step and optimizer."""
        buckets = f"{COLUMN_STEP} columns, or {min(TOKEN_STEP, setup.max_length)} packed tokens"
        changed = replace(
            setup,
            # Capturable: it reads its learning rate on the device.
            make_optimizer=partial(make_fused_adamw, capturable=setup.device.type == "cuda"),
            make_step=lambda final, optimizer, scheduler: GraphedStep(
                final, optimizer, scheduler, GraphRecorder(final.device)
            ),
            clip_gradients=clip_together,
        )
        what = f"whole step, shapes in multiples of {buckets} that come {LEAST_USES} times or more"
        return changed.with_knobs({"CUDA graphs": what, "clipping": "foreach=True"})
