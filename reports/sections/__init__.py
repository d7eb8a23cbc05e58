"""What a report says, one module per part of it: pure functions from an analysis to blocks of `reports.document`."""

from reports.phases import PHASE_WORDS

__all__ = ["PHASE_WORDS"]
