"""Structured logging: ECS JSON with masked secrets, to standard output, a rotating file and Elasticsearch."""

from shared.logging.setup import LogSettings, configure_logging
from shared.logging.trading import Category, TradingLogger, get_trading_logger

__all__ = ["Category", "LogSettings", "TradingLogger", "configure_logging", "get_trading_logger"]
