"""``millpond demo``: a PySpark job on real data, through a real sidecar, beside direct reads."""
