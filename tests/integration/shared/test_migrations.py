from importlib import import_module

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from shared.migrations import SERVICES

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_make_the_tables_the_models_describe(database_url: str, service: str) -> None:
    metadata = import_module(f"services.{service}.models").metadata
    assert metadata.tables
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == service,
                "version_table_schema": service,
                "compare_type": True,
            },
        )
        assert compare_metadata(context, metadata) == []
