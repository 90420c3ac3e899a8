"""What the sidecar decides: pure objects without I/O, clock or threads."""
