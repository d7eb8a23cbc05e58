"""Plan, trials in worker processes, records on disk."""
