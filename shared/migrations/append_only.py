"""Owns tables that only grow: their rows are history, and neither a program nor a role changes them afterwards."""

from alembic import op

# Triggers hold even where one role owns the schema and runs the service; rights hold even without triggers.
REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""


def append_only(*tables: str) -> tuple[str, ...]:
    """The statements after which these tables refuse every change of a row; `refuse_change` must exist."""
    return tuple(
        f"CREATE TRIGGER {table}_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        for table in tables
    )


def take_rights(runtime_role: str | None, **rights_by_table: str) -> None:
    """Take rights from the role that runs the service, where it is not the one that owns the schema."""
    connection = op.get_bind()
    if not runtime_role or runtime_role == connection.exec_driver_sql("SELECT current_user").scalar():
        return
    role = connection.dialect.identifier_preparer.quote_identifier(runtime_role)
    for table, rights in rights_by_table.items():
        op.execute(f"REVOKE {rights} ON {table} FROM {role}")
