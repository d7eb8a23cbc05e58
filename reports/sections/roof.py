"""How far the job is from what this machine can do at best."""

from __future__ import annotations

from collections.abc import Container, Iterator

from harness.analysis.advice.roofline import Roofline
from harness.analysis.model import Analysis
from reports.document import Block, Section, Text, code, contender_name, figure, paragraph, strong, table
from reports.formatting import NONE, amount, count, duration, full_stop, milliseconds, one_line, percent, significant

TITLE = "Distance to the roof"
MISSING = "The machine's roof (its best rate of matrix products) was not measured in this run."
MFU_HOW = (
    "MFU: rate of useful arithmetic of the training steps (matrix products and attention on tokens that are not "
    "padding) ÷ the measured matrix-product rate of the same dtype."
)


def roof_section(analysis: Analysis, drawn: Container[str]) -> Section:
    """Return the roof, the speed of light of the job, and how near each contender comes."""
    roofline = analysis.roofline
    if roofline is None:
        return Section(title=TITLE, blocks=(paragraph(MISSING),))
    return Section(title=TITLE, blocks=tuple(_blocks(roofline, analysis.baseline_contender.job_time_s, drawn)))


def _blocks(roofline: Roofline, job_time_s: float | None, drawn: Container[str]) -> Iterator[Block]:
    yield paragraph(*speed_of_light(roofline, job_time_s))
    yield paragraph(*_rates(roofline))
    yield paragraph(MFU_HOW)
    yield from figure("roofline", "Useful arithmetic of each contender's steps against the measured roof", drawn)
    rows = (
        (
            contender_name(point.contender),
            f"{significant(point.useful_tflops)} TFLOP/s",
            code(point.dtype),
            percent(point.mfu),
            NONE if point.mfu_dense_peak is None else percent(point.mfu_dense_peak),
            NONE if point.job_over_light is None else f"{_multiple(point.job_over_light)}×",
        )
        for point in roofline.points
    )
    headers = ("Strategy", "Useful rate", "Products in", "MFU", "of the vendor's dense peak", "Job ÷ speed of light")
    yield from table(headers, rows, "lrl")
    if roofline.note:
        note = one_line(roofline.note)
        yield paragraph(full_stop(note[:1].upper() + note[1:]))


def speed_of_light(roofline: Roofline, job_time_s: float | None) -> Iterator[Text]:
    """Say how short the job could be at best, and how long it is."""
    yield "Speed of light: the whole job needs "
    yield amount(roofline.job_useful_flops, "FLOP")
    yield f" of useful arithmetic ({amount(roofline.flops_per_useful_token, 'FLOP')} per useful token of training), so "
    yield "no job here can be shorter than "
    light_s = roofline.speed_of_light_s
    yield strong(f"{milliseconds(1000 * light_s)} ms" if light_s < 1.0 else duration(light_s))
    yield ", at the best measured rate ("
    yield code(roofline.best_dtype)
    yield ")."
    if job_time_s and light_s > 0:
        yield f" The baseline's job took {duration(job_time_s)}, {_multiple(job_time_s / light_s)} times that."


def _multiple(value: float) -> str:
    return count(value) if value >= 100 else significant(value, 2)


def _rates(roofline: Roofline) -> Iterator[Text]:
    yield "Measured at the start of the run: "
    for number, (dtype, tflops) in enumerate(roofline.matmul_tflops.items()):
        yield ", " if number else ""
        yield code(dtype)
        yield f" products {significant(tflops)} TFLOP/s"
    copy = roofline.copy_gb_per_s
    yield (
        "; the rate of large copies was not measured." if copy is None else f"; large copies {significant(copy)} GB/s."
    )
