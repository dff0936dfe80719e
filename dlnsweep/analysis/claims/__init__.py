"""Theorem 2.3 of arXiv:2502.15522, statement by statement, against the runs of a results folder."""

from dlnsweep.analysis.claims.run import Demands, Run, Statement, Verdict, conditions
from dlnsweep.analysis.claims.table import STATEMENTS, claims_table, claims_text

__all__ = [
    "STATEMENTS",
    "Demands",
    "Run",
    "Statement",
    "Verdict",
    "claims_table",
    "claims_text",
    "conditions",
]
