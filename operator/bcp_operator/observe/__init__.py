"""Asking the world how it is: probes of login URLs and systems."""
