"""Pure decisions about switching: no I/O, the clock is an argument."""
