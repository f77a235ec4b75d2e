"""Everything that knows about speech. Imports nothing of ``gateway``."""
