"""What a report says, one module per part of it: pure functions from an analysis to blocks of `reports.document`."""
