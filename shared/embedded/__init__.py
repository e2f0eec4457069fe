"""PostgreSQL and Valkey out of their wheels, for one machine and for tests."""

from shared.embedded.postgres import EmbeddedPostgres, running_url
from shared.embedded.process import EmbeddedServerError
from shared.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServerError", "EmbeddedValkey", "running_url"]
