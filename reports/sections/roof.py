"""How far the job is from what this machine can do at best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.document import Picture, Section, Table, code, contender_name, joined, paragraph, strong, table
from reports.formatting import NONE, amount, count, duration, full_stop, milliseconds, one_line, percent, significant

if TYPE_CHECKING:
    from harness.analysis.advice.findings import Roofline
    from harness.analysis.model import Analysis

MISSING = "The machine's roof (its best rate of matrix products) was not measured in this run."
MFU_HOW = (
    "MFU: rate of useful arithmetic of the training steps (matrix products and attention on tokens that are not "
    "padding) ÷ the measured matrix-product rate of the same dtype."
)


def section(analysis: Analysis) -> Section:
    """Return the roof, the speed of light of the job, and how near each contender comes."""
    title, roofline = "Distance to the roof", analysis.roofline
    if roofline is None:
        return Section(title=title, blocks=(paragraph(MISSING),))
    light_s, job_s = roofline.speed_of_light_s, analysis.baseline_contender.job_time_s
    job = ""
    if job_s and light_s > 0:
        job = f" The baseline's job took {duration(job_s)}, {_multiple(job_s / light_s)} times that."
    speed_of_light = paragraph(
        f"Speed of light: the whole job needs {amount(roofline.job_useful_flops, 'FLOP')} of useful arithmetic "
        f"({amount(roofline.flops_per_useful_token, 'FLOP')} per useful token of training), so no job here can be "
        "shorter than ",
        strong(f"{milliseconds(1000 * light_s)} ms" if light_s < 1.0 else duration(light_s)),
        ", at the best measured rate (",
        code(roofline.best_dtype),
        f").{job}",
    )
    products = ((code(name), f" products {significant(rate)} TFLOP/s") for name, rate in roofline.matmul_tflops.items())
    copy = roofline.copy_gb_per_s
    copies = "the rate of large copies was not measured" if copy is None else f"large copies {significant(copy)} GB/s"
    rates = paragraph("Measured at the start of the run: ", joined(products), f"; {copies}.")
    picture = Picture(name="roofline", caption="Useful arithmetic of each contender's steps against the measured roof")
    note = one_line(roofline.note or "")
    notes = (paragraph(full_stop(note[:1].upper() + note[1:])),) if note else ()
    blocks = (speed_of_light, rates, paragraph(MFU_HOW), picture, *_points(roofline), *notes)
    return Section(title=title, blocks=blocks)


def _points(roofline: Roofline) -> tuple[Table, ...]:
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
    return table(headers, rows, "lrl")


def _multiple(value: float) -> str:
    return count(value) if value >= 100 else significant(value, 2)
