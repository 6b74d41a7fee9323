"""Pure decisions about switching and scheduling: no I/O, the clock is an argument."""
