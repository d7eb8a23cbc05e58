"""From a profiler trace to the ledger of a step."""
