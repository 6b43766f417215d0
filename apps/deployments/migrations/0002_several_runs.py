"""Several runs at once on a venue, each with instruments of its own."""

import django.db.models.deletion
from django.db import migrations, models

ACTIVE = ["validating", "starting", "running", "healthy", "stopping"]


def claim(apps, schema_editor):
    """What active runs trade is theirs."""
    run, traded = apps.get_model("deployments", "Run"), apps.get_model("deployments", "TradedInstrument")
    traded.objects.bulk_create(
        traded(run=one, environment=one.environment, venue_id=one.venue_id, symbol=symbol)
        for one in run.objects.filter(state__in=ACTIVE)
        for symbol in one.plan["instruments"]
    )


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0001_initial"),
        ("trading", "0010_cancel_time"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="run", name="run_active_once"),
        migrations.CreateModel(
            name="TradedInstrument",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("environment", models.CharField(max_length=16)),
                ("symbol", models.CharField(max_length=40)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="traded", to="deployments.run"
                    ),
                ),
                (
                    "venue",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="traded", to="trading.venue"
                    ),
                ),
            ],
            options={"ordering": ["venue", "symbol"]},
        ),
        migrations.AddConstraint(
            model_name="tradedinstrument",
            constraint=models.UniqueConstraint(fields=("environment", "venue", "symbol"), name="traded_once"),
        ),
        migrations.RunPython(claim, migrations.RunPython.noop),
    ]
