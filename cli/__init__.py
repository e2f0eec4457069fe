"""The keelson command."""
