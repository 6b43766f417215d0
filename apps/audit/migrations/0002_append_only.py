"""Entries, checkpoints, verification runs and reports can be added, never changed or removed."""

from django.db import migrations

TABLES = ("audit_auditentry", "audit_checkpoint", "audit_verificationrun", "audit_auditreport")

FORWARD = """
CREATE FUNCTION gekko_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the audit trail is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
""" + "".join(
    f"""
CREATE TRIGGER gekko_no_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION gekko_audit_append_only();
CREATE TRIGGER gekko_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION gekko_audit_append_only();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER gekko_no_change;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER gekko_no_truncate;
"""
    for table in TABLES
)

BACKWARD = (
    "".join(
        f"DROP TRIGGER gekko_no_change ON {table}; DROP TRIGGER gekko_no_truncate ON {table};" for table in TABLES
    )
    + "DROP FUNCTION gekko_audit_append_only();"
)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
