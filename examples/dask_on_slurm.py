"""Run a sweep on a SLURM cluster through Dask: python examples/dask_on_slurm.py SWEEP.toml.

Start it where `sbatch` works and stay logged in (tmux, say): this process holds the scheduler.
With no process that must stay alive, `dlnsweep slurm SWEEP.toml --shards 64 | sbatch` does it too.
Needs the extra `cluster`; every node must see this folder and this Python.
"""

import sys

from dask_jobqueue import SLURMCluster

import dlnsweep

# The network of the nodes, such as "ib0"; see `ip address`.
INTERFACE = "lo"


def make_cluster() -> SLURMCluster:
    """Return a cluster whose jobs each have one Dask worker, on one core."""
    return SLURMCluster(
        cores=1,
        processes=1,
        memory="4GB",
        walltime="04:00:00",
        # The scheduler listens where the nodes reach it: name that interface, not all of them.
        # Behind it stands code that anyone who connects can have executed, so use TLS on a network
        # that you share: security=distributed.Security(require_encryption=True, ...).
        scheduler_options={"interface": INTERFACE, "dashboard_address": "127.0.0.1:0"},
        job_extra_directives=["--partition=short"],
        # No more batches than the walltime allows; what a job leaves is given to another one.
        worker_extra_args=["--lifetime", "3h50m", "--lifetime-stagger", "5m"],
    )


if __name__ == "__main__":
    with make_cluster() as cluster:
        cluster.scale(jobs=64)
        dlnsweep.run(sys.argv[1], dask=cluster.scheduler_address)
