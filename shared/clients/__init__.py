"""Typed clients for whoever calls Keelson from Python."""

from shared.clients.errors import Refused, Unavailable
from shared.clients.risk import AsyncRiskClient, RiskClient

__all__ = ["AsyncRiskClient", "Refused", "RiskClient", "Unavailable"]
