"""What every log line of a request shares, carried by the task that serves it."""

from contextvars import ContextVar

correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
principal: ContextVar[str | None] = ContextVar("principal", default=None)
