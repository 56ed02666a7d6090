"""Alembic's entry: runs the migrations on the connection that `ledger/engine.py` hands over."""

from alembic import context

from ledger.tables import SCHEMA, metadata

connection = context.config.attributes["connection"]
schema = SCHEMA if connection.dialect.name == "postgresql" else None
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table_schema=schema,
    include_schemas=schema is not None,
)
with context.begin_transaction():
    context.run_migrations()
