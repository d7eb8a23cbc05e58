"""Errors that a user sees: one line that says what is wrong and where, and a second that says what to do."""

from __future__ import annotations


class HarnessError(Exception):
    """Base of all expected failures; the command line prints it without a traceback and exits with status 2.

    `message` says what is wrong and where, `remedy` what the user can do about it.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} — {self.remedy}" if self.remedy else self.message


class ConfigError(HarnessError):
    """A setting is invalid, or two settings contradict each other."""


class DataError(HarnessError):
    """A data set can't be reached or read."""


class ModelError(HarnessError):
    """A model can't be reached, or its weights are not what they should be."""


class StrategyError(HarnessError):
    """An unknown strategy, a stack with conflicts, or a strategy that breaks the contract."""


class RecordError(HarnessError):
    """A record in a run directory is missing or damaged."""
