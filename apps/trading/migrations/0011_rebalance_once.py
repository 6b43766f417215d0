from django.db import migrations, models

# A worker that is still computing one of these finds it over; whoever asked can ask again.
_FAIL_OLDER = """
UPDATE trading_rebalancerun AS run
SET state = 'failed', finished_at = now(), version = version + 1, why = 'another one of the same venue was open; ask again'
WHERE state IN ('pending', 'running') AND EXISTS (
    SELECT 1 FROM trading_rebalancerun AS newer
    WHERE newer.venue_id = run.venue_id AND newer.state IN ('pending', 'running')
      AND (newer.requested_at, newer.id) > (run.requested_at, run.id)
)
"""

# What waits to be checked at the end of the transaction would keep the table from getting its index before.
_CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"


class Migration(migrations.Migration):
    dependencies = [("trading", "0010_cancel_time")]

    operations = [
        migrations.AddField(model_name="rebalancerun", name="sent_at", field=models.DateTimeField(null=True)),
        migrations.RunSQL("UPDATE trading_rebalancerun SET sent_at = requested_at", migrations.RunSQL.noop),
        migrations.AlterField(model_name="rebalancerun", name="sent_at", field=models.DateTimeField()),
        migrations.RunSQL(_FAIL_OLDER, migrations.RunSQL.noop),
        migrations.RunSQL(_CHECK_NOW, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="rebalancerun",
            constraint=models.UniqueConstraint(
                fields=["venue"], condition=models.Q(state__in=["pending", "running"]), name="rebalance_open_once"
            ),
        ),
    ]
