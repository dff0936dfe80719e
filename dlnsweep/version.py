"""Version numbers."""

from __future__ import annotations

__version__ = "0.2.0"

# Raised whenever numbers can change: it is part of every run's id, and results of another version
# are never mixed with new ones.
NUMERICS_VERSION = 5
