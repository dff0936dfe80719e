"""One network on the caller's own arrays: `dlnsweep.train`."""
