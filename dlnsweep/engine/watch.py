"""What a batch tells, asks and keeps while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dlnsweep.engine.begun import Begun
from dlnsweep.engine.journal import Call, Journal
from dlnsweep.engine.programs import PROGRAMS, Programs
from dlnsweep.errors import Interrupted


@dataclass(frozen=True)
class Progress:
    """How far a batch is: run-steps done since the last report, and diverged runs so far.

    Those that an earlier process has done are told at once, as `resumed`.
    """

    run_steps: int
    diverged: int
    resumed: bool = False


@dataclass
class Watch:
    """What a batch tells, asks and keeps while it runs, and what compiling has taken.

    Attributes:
        on_progress: Called after every segment.
        should_stop: Asked after every segment.
        journal: What has been done.
        begun: Where the runs stand, if not at step 0.
        programs: What has been compiled.
        diverged: How many of them have diverged.
        compile_seconds: What compiling has taken.
    """

    on_progress: Callable[[Progress], None]
    should_stop: Callable[[], bool]
    journal: Journal = field(default_factory=Journal)
    begun: Begun | None = None
    programs: Programs = PROGRAMS
    diverged: int = 0
    compile_seconds: float = 0.0

    def check(self, call: Callable[[], Call] | None = None) -> None:
        """Keep what is done if it is time, and end if that is wished.

        Args:
            call: Returns the present call, if there is one.
        """
        stopping = self.should_stop()
        self.journal.pause(call, ending=stopping)
        if stopping:
            raise Interrupted("stopped")
