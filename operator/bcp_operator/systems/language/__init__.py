"""The parts of the profile language, one file each; systems/profile.py puts them together."""
