"""Loggers that speak the desk's language: one method for each event that matters to it."""

import logging
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from shared.logging.formatter import EVENT_ATTRIBUTE

# The frames between the caller and `_write`.
_CALLER = 3


class Category(StrEnum):
    """What a line is about."""

    TRADING = "TRADING"
    RISK = "RISK"
    SECURITY = "SECURITY"
    AUDIT = "AUDIT"
    MARKET_DATA = "MARKET_DATA"
    ML = "ML"
    SYSTEM = "SYSTEM"


class TradingLogger:
    """Log messages with fields; the fields appear under `keelson` in the line. No method ever raises.

    The business methods set `event.action`, `event.outcome` where there is one, and the category the event belongs
    to, whichever the logger's own is. Every one takes further fields by name.
    """

    def __init__(self, logger: logging.Logger, category: Category) -> None:
        self._logger = logger
        self.category = category

    def debug(self, message: str, /, **fields: Any) -> None:
        """Log a detail for debugging."""
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """Log what happened as it should."""
        self._log(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """Log what may need someone's attention."""
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """Log what failed."""
        self._log(logging.ERROR, message, fields)

    def exception(self, message: str, /, **fields: Any) -> None:
        """Log what failed, with the exception being handled."""
        self._log(logging.ERROR, message, fields, exc_info=True)

    def log_order_created(
        self,
        *,
        account_id: str,
        client_order_id: str,
        symbol: str,
        side: str,
        quantity: Decimal,
        limit_price: Decimal | None = None,
        strategy_id: str | None = None,
        **fields: Any,
    ) -> None:
        """Log that a strategy sent an order to be decided."""
        fields |= {"account_id": account_id, "client_order_id": client_order_id, "symbol": symbol, "side": side}
        fields |= {"quantity": quantity, "limit_price": limit_price, "strategy_id": strategy_id}
        self._event(Category.TRADING, logging.INFO, "order created", "order-created", None, fields)

    def log_order_decided(
        self, *, account_id: str, client_order_id: str, approved: bool, reasons: Sequence[str] = (), **fields: Any
    ) -> None:
        """Log the decision on an order; `reasons` are the denial codes."""
        fields |= {"account_id": account_id, "client_order_id": client_order_id, "reasons": reasons}
        fields["decision"] = "APPROVED" if approved else "DENIED"
        message, action = ("order approved", "order-approved") if approved else ("order denied", "order-denied")
        # A denial is an answer; the outcome tells whether the order may go out.
        self._event(Category.TRADING, logging.INFO, message, action, "success" if approved else "failure", fields)

    def log_orders_approved(self, *, account_id: str, client_order_ids: Sequence[str], **fields: Any) -> None:
        """Log the approval of orders that were asked for together."""
        fields |= {"account_id": account_id, "client_order_ids": client_order_ids, "decision": "APPROVED"}
        self._event(Category.TRADING, logging.INFO, "orders approved", "orders-approved", "success", fields)

    def log_orders_denied(
        self, *, account_id: str, client_order_ids: Sequence[str], rules: Mapping[str, int], **fields: Any
    ) -> None:
        """Log the denial of orders that were asked for together, and how many broke each rule."""
        fields |= {
            "account_id": account_id,
            "client_order_ids": client_order_ids,
            "decision": "DENIED",
            "rules": rules,
        }
        self._event(Category.TRADING, logging.INFO, "orders denied", "orders-denied", "failure", fields)

    def log_order_filled(
        self,
        *,
        account_id: str,
        client_order_id: str,
        trade_id: str,
        symbol: str,
        side: str,
        quantity: Decimal,
        price: Decimal,
        **fields: Any,
    ) -> None:
        """Log an execution the venue reported."""
        fields |= {"account_id": account_id, "client_order_id": client_order_id, "trade_id": trade_id}
        fields |= {"symbol": symbol, "side": side, "quantity": quantity, "price": price}
        self._event(Category.TRADING, logging.INFO, "order filled", "order-filled", "success", fields)

    def log_order_cancelled(self, *, account_id: str, client_order_id: str, reason: str, **fields: Any) -> None:
        """Log that an order will not fill further."""
        fields |= {"account_id": account_id, "client_order_id": client_order_id, "reason": reason}
        self._event(Category.TRADING, logging.INFO, "order cancelled", "order-cancelled", "success", fields)

    def log_risk_violation(
        self,
        *,
        rule: str,
        limit: float | Decimal | None,
        value: float | Decimal | None,
        account_id: str | None = None,
        **fields: Any,
    ) -> None:
        """Log that a limit was broken, or would have been; the limit and the value are in the rule's own unit."""
        fields |= {"rule": rule, "limit": limit, "value": value, "account_id": account_id}
        self._event(Category.RISK, logging.WARNING, f"risk violation: {rule}", "risk-violation", "failure", fields)

    def log_kill_switch(
        self, *, kill_switch_id: str, scope: str, target: str | None, active: bool, reason: str, by: str, **fields: Any
    ) -> None:
        """Log that a kill switch was activated or released."""
        fields |= {"kill_switch_id": kill_switch_id, "scope": scope, "target": target, "active": active}
        fields |= {"reason": reason, "by": by}
        verb = "activated" if active else "released"
        level = logging.ERROR if active else logging.WARNING
        self._event(Category.RISK, level, f"kill switch {verb}", f"kill-switch-{verb}", "success", fields)

    def log_limit_changed(
        self, *, account_id: str, before: Any, after: Any, reason: str, by: str, **fields: Any
    ) -> None:
        """Log that an account's limits were changed, from what to what, why and by whom."""
        fields |= {"account_id": account_id, "before": before, "after": after, "reason": reason, "by": by}
        self._event(Category.AUDIT, logging.WARNING, "limits changed", "limit-changed", "success", fields)

    def log_model_scored(
        self,
        *,
        model_name: str,
        model_version: str,
        prediction_id: str,
        confidence: float,
        latency_ms: float | None = None,
        **fields: Any,
    ) -> None:
        """Log a prediction; confidence is a fraction, latency in milliseconds."""
        fields |= {"model_name": model_name, "model_version": model_version, "prediction_id": prediction_id}
        fields |= {"confidence": confidence, "latency_ms": latency_ms}
        self._event(Category.ML, logging.INFO, "model scored", "model-scored", "success", fields)

    def log_data_quality(
        self, *, symbol: str, severity: str, findings: Sequence[Any], source: str | None = None, **fields: Any
    ) -> None:
        """Log the verdict on a batch of market data: `ok`, `warning` or `critical`."""
        fields |= {"symbol": symbol, "severity": severity, "findings": findings, "source": source}
        levels = {"warning": logging.WARNING, "critical": logging.ERROR}
        level = levels.get(str(severity).lower(), logging.INFO)
        outcome = "failure" if level == logging.ERROR else "success"
        self._event(Category.MARKET_DATA, level, f"data quality {severity}", "data-quality", outcome, fields)

    def log_access_denied(
        self, *, method: str, path: str, status: int, reason: str, subject: str | None = None, **fields: Any
    ) -> None:
        """Log a request that was refused for want of authentication or of a role."""
        fields |= {"method": method, "path": path, "status": status, "reason": reason, "subject": subject}
        self._event(Category.SECURITY, logging.WARNING, "access denied", "access-denied", "failure", fields)

    def log_audit(
        self,
        *,
        actor: str,
        action: str,
        target: str,
        before: Any = None,
        after: Any = None,
        success: bool = True,
        **fields: Any,
    ) -> None:
        """Log who did what to what, with its state before and after."""
        fields |= {"actor": actor, "action": action, "target": target, "before": before, "after": after}
        outcome = "success" if success else "failure"
        self._event(Category.AUDIT, logging.INFO, f"{actor}: {action} {target}", action, outcome, fields)

    def _event(
        self, category: Category, level: int, message: str, action: str, outcome: str | None, fields: dict[str, Any]
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._write(level, message, {"category": category, "action": action, "outcome": outcome, "fields": fields})

    def _log(self, level: int, message: str, fields: dict[str, Any], exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._write(level, message, {"category": self.category, "fields": fields}, exc_info)

    def _write(self, level: int, message: str, event: dict[str, Any], exc_info: bool = False) -> None:
        # What the standard library's `log` does, without its walk over the stack: these lines are written by the
        # thousand a second.
        caller = sys._getframe(_CALLER)
        code = caller.f_code
        error = sys.exc_info() if exc_info else None
        record = self._logger.makeRecord(
            self._logger.name, level, code.co_filename, caller.f_lineno, message, (), error, code.co_name
        )
        setattr(record, EVENT_ATTRIBUTE, event)
        self._logger.handle(record)


def get_trading_logger(name: str, category: Category) -> TradingLogger:
    """Return the logger of this name, whose plain messages belong to this category."""
    return TradingLogger(logging.getLogger(name), category)
