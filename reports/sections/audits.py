"""Steps that were audited in flight: how many, what was found, how surely a fault is found, and what it cost."""

from __future__ import annotations

from harness.analysis.evidence.audits import SHARES, AuditEvidence, detection
from harness.analysis.evidence.gather import Evidence
from harness.analysis.model import Analysis
from harness.records.tolerances import AUDITED_UPDATE
from reports.document import Section, Text, contender_name, paragraph, table
from reports.formatting import NONE, duration, memory, one_line, percent

HOW = (
    "Steps drawn at random; a contender's process is told of one when it is over. From the state before it the fp32 "
    "reference makes it again, on the windows that the plan names and with the random numbers that it began with: "
    "gradients must be the reference's within the tolerance of their dtype or, where dropout draws other numbers, lie "
    f"as its own draws do; the update must be AdamW's at the planned learning rate, up to {AUDITED_UPDATE:.0e}."
)
SWITCHED_OFF = "Nothing was audited (--no-audits): a fault that begins after the equivalence check would not be seen."
LONGEST_FINDING = 140
NOT_DONE = "Nothing was audited in this run: a fault that begins after the equivalence check would not be seen."


def audits(analysis: Analysis) -> Section:
    """Return what the audits of all contenders say."""
    made = [(contender, evidence.audits) for contender, evidence in analysis.ran if evidence.audits is not None]
    title = "Audits in flight"
    if not made:
        enabled = analysis.run.config.get("audits", {}).get("enabled", True)
        return Section(title=title, blocks=(paragraph(NOT_DONE if enabled else SWITCHED_OFF),))
    rows = [
        (contender_name(contender.name), *_row(evidence), _finding(evidence))
        for contender, evidence in analysis.ran
        if not contender.is_baseline or evidence.audits is not None
    ]
    headers = ("Contender", "Steps of jobs", "of segments", "Same random numbers", "Largest gradient error", "Found")
    fewest = min(found.audits for _, found in made)
    chances = ", ".join(f"{percent(detection(share, fewest))} if it touches {percent(share)}" for share in SHARES)
    snapshots_s, replays_s = (sum(getattr(found, name) for _, found in made) for name in ("snapshots_s", "replays_s"))
    kept = memory(max(found.memory_gib for _, found in made))
    return Section(
        title=title,
        blocks=(
            paragraph(HOW),
            *table(headers, rows, "lrrrll"),
            paragraph(f"The probability that {fewest} audited steps show a fault is {chances} of the steps."),
            paragraph(
                f"The state before each step took {kept} in each process, a part of its measured peak. Copies and "
                f"questions took {duration(snapshots_s)} in all, writing and replaying {duration(replays_s)}: no part "
                "of any time that is compared."
            ),
        ),
    )


def _row(evidence: Evidence) -> tuple[str, str, str, str]:
    found = evidence.audits
    if found is None:
        return (NONE,) * 4
    worst, allowed = found.largest_gradient, found.gradient_tolerance
    error = NONE
    if worst is not None and worst.gradient is not None:
        error = f"{worst.gradient:.1g} (allowed {allowed:.0e})"
    return str(found.in_jobs), str(found.in_segments), f"{found.same_random_numbers} of {found.audits}", error


def _finding(evidence: Evidence) -> Text:
    found: AuditEvidence | None = evidence.audits
    if found is None:
        return "not audited: other updates are its purpose, or there was nothing to hold them against"
    if found.problems:
        return one_line(found.problems[0], LONGEST_FINDING)
    return "the reference's" if found.unmade is None else f"open: {one_line(found.unmade)}"
