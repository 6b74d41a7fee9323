"""The correlation store: which secondary entity belongs to which primary entity."""
