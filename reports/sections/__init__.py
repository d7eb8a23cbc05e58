"""What a report says, one module per part of it: pure functions from an analysis to blocks of `reports.document`.

A section is a function of the analysis alone, `section(analysis) -> Section`, and one line in
`reports.report.SECTIONS`. It names the figures that belong to it as `Picture`s; the report leaves out those that were
not drawn.
"""
