from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

_ADD_UP = """
INSERT INTO trading_fillday (venue_id, day, run_id, symbol, fee_asset, bought, sold, paid, received, fee)
SELECT venue_id, (executed_at AT TIME ZONE 'UTC')::date, run_id, symbol, fee_asset,
       coalesce(sum(quantity) FILTER (WHERE side = 'BUY'), 0), coalesce(sum(quantity) FILTER (WHERE side = 'SELL'), 0),
       coalesce(sum(notional) FILTER (WHERE side = 'BUY'), 0), coalesce(sum(notional) FILTER (WHERE side = 'SELL'), 0),
       sum(fee)
FROM trading_fill GROUP BY 1, 2, 3, 4, 5
"""


class Migration(migrations.Migration):

    dependencies = [
        ('trading', '0013_parent_routes'),
    ]

    operations = [
        migrations.CreateModel(
            name='FillDay',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('run_id', models.CharField(blank=True, max_length=64)),
                ('symbol', models.CharField(max_length=32)),
                ('fee_asset', models.CharField(max_length=16)),
                ('bought', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('sold', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('paid', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('received', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('fee', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('venue', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='fill_days', to='trading.venue')),
            ],
            options={
                'ordering': ['day'],
            },
        ),
        migrations.AddIndex(
            model_name='backtest',
            index=models.Index(condition=models.Q(('kind', 'trial'), _negated=True), fields=['-requested_at', '-id'], name='backtest_newest'),
        ),
        migrations.AddIndex(
            model_name='fill',
            index=models.Index(fields=['venue', 'symbol', '-executed_at', '-id'], name='fill_last_price'),
        ),
        migrations.AddConstraint(
            model_name='fillday',
            constraint=models.UniqueConstraint(fields=('venue', 'day', 'run_id', 'symbol', 'fee_asset'), name='fill_day_once'),
        ),
        migrations.RunSQL(_ADD_UP, migrations.RunSQL.noop),
    ]
