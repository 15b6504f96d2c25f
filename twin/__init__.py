"""The pure core of the twin: arrays in, arrays out; no I/O, no clock."""
