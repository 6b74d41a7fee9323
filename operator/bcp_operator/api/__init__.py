"""The two resources as pydantic models; imports nothing else of this project."""
