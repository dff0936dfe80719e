"""The store: the results folder of one sweep, and all that makes it survive."""

from dlnsweep.store.layout import results_folder
from dlnsweep.store.store import Problem, Status, Store, StoredPlan

__all__ = ["Problem", "Status", "Store", "StoredPlan", "results_folder"]
