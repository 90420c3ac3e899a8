"""Values and decisions: no I/O, no clock, standard library only. CRC functions are passed in."""
