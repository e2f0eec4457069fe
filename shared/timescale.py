"""Which of three databases this is: plain PostgreSQL, TimescaleDB's Apache edition, or its community edition."""

from enum import StrEnum

from sqlalchemy import Connection, text


class Rung(StrEnum):
    """What the database can do; the same names exist on each."""

    PLAIN = "postgresql"
    APACHE = "timescaledb-apache"
    COMMUNITY = "timescaledb-community"

    @property
    def hypertables(self) -> bool:
        """Return whether tables are hypertables."""
        return self is not Rung.PLAIN

    @property
    def aggregates(self) -> bool:
        """Return whether roll-ups are continuous aggregates; compression and policies come with them."""
        return self is Rung.COMMUNITY


# Both settings are the extension's own: the first exists where its library is loaded, the second once it is installed.
_LOADED = text("SELECT current_setting('timescaledb.disable_load', true) IS NOT NULL")
RUNG = text("""
    SELECT CASE WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
                THEN current_setting('timescaledb.license', true) END
""")


def rung_of(license_: str | None) -> Rung:
    """Return the rung that a TimescaleDB licence stands for, None where there is no TimescaleDB."""
    if license_ is None:
        return Rung.PLAIN
    return Rung.COMMUNITY if license_ == "timescale" else Rung.APACHE


def prepare(connection: Connection) -> Rung:
    """Install TimescaleDB into this database where the server has it loaded; return what the database can do."""
    if connection.scalar(_LOADED):
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
    return rung_of(connection.scalar(RUNG))
