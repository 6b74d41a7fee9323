"""Which entity of the secondary belongs to which of the primary, kept across runs."""
