"""Since when an event waits that did not begin to when it was received."""

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "ledger"


def upgrade() -> None:
    """Add the column."""
    op.add_column("inbox", sa.Column("waiting_since", UtcDateTime), schema=_schema())


def downgrade() -> None:
    """Drop it."""
    op.drop_column("inbox", "waiting_since", schema=_schema())


def _schema() -> str | None:
    """Alembic changes a table under the name it is given, without translating its schema."""
    return SCHEMA if op.get_bind().dialect.name == "postgresql" else None
