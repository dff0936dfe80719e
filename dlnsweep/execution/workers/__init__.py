"""Where batches are computed: processes of this machine, or of a Dask cluster."""
