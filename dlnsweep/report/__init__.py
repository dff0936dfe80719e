"""`dlnsweep report`: a results folder as one page of HTML that needs nothing else."""

from dlnsweep.report.page import write_report

__all__ = ["write_report"]
