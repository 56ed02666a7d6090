"""What expectations are told of tables, on both engines: read once, then what was added."""

from sqlalchemy import event, inspect

from ledger.settings import Settings
from loaders.target import Target
from quality.dialect import COLUMNS
from quality.session import Session

TABLE = (
    "create table core.kinds (a text, b bigint, c numeric(18, 6), d double precision, e boolean,"
    " f date, g timestamp, h timestamp with time zone, i integer not null)"
)
TYPES = ["TEXT", "BIGINT", "NUMERIC", "FLOAT", "BOOLEAN", "DATE", *["TIMESTAMP"] * 2, "BIGINT"]


def test_columns_are_read_once_and_again_for_what_was_added(settings: Settings) -> None:
    Target(settings).execute("create schema core", TABLE)
    session = Session(settings)
    engine = session.batch("core.kinds").data.execution_engine.engine
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *event: asked.append(event[2]))
    with session.opened():
        for _ in range(3):
            columns = inspect(engine).get_columns("kinds", schema="core")
        assert [column["name"] for column in columns] == list("abcdefghi")
        assert [type(column["type"]).__name__ for column in columns] == TYPES
        assert [column["nullable"] for column in columns] == [True] * 8 + [False]
        assert asked.count(COLUMNS) == 1
        session.add_views({"later": "select a, i from core.kinds"})
        assert [column["name"] for column in inspect(engine).get_columns("later")] == ["a", "i"]
        assert asked.count(COLUMNS) == 2
        assert inspect(engine).get_columns("absent", schema="core") == []
