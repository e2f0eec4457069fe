"""The risk service."""

from services.risk import compiled

compiled.use()
