from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.ids


class Migration(migrations.Migration):

    dependencies = [
        ('trading', '0004_parent_orders'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AttributionCell',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('strategy', models.CharField(max_length=64)),
                ('symbol', models.CharField(max_length=32)),
                ('quantity', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('unpriced', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('cost', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('realised', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('fees', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('funding', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('updated_at', models.DateTimeField()),
                ('venue', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='attribution', to='trading.venue')),
            ],
            options={
                'ordering': ['venue', 'strategy', 'symbol'],
                'constraints': [models.UniqueConstraint(fields=('venue', 'strategy', 'symbol'), name='attribution_once')],
            },
        ),
        migrations.CreateModel(
            name='LedgerPosting',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('seq', models.BigIntegerField()),
                ('number', models.PositiveSmallIntegerField()),
                ('at', models.DateTimeField()),
                ('kind', models.CharField(choices=[('opening', 'Opening'), ('capital', 'Capital'), ('fill', 'Fill'), ('funding', 'Funding')], max_length=12)),
                ('ref', models.CharField(max_length=80)),
                ('client_id', models.CharField(blank=True, max_length=64)),
                ('account', models.CharField(choices=[('cash', 'Cash'), ('inventory', 'Inventory'), ('fees', 'Fees'), ('funding', 'Funding'), ('realised', 'Realised'), ('equity', 'Equity')], max_length=12)),
                ('asset', models.CharField(max_length=16)),
                ('symbol', models.CharField(blank=True, max_length=32)),
                ('value', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('quantity', models.DecimalField(decimal_places=18, default=Decimal('0'), max_digits=38)),
                ('venue', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='trading.venue')),
            ],
            options={
                'ordering': ['-seq', 'number'],
                'indexes': [models.Index(fields=['venue', 'account', '-at'], name='posting_account'), models.Index(fields=['-at', '-id'], name='posting_newest'), models.Index(fields=['venue', 'kind', 'ref'], name='posting_ref')],
                'constraints': [models.UniqueConstraint(fields=('venue', 'seq', 'number'), name='posting_once')],
            },
        ),
        migrations.CreateModel(
            name='RebalanceRun',
            fields=[
                ('id', models.UUIDField(default=apps.core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('state', models.CharField(choices=[('pending', 'Waiting'), ('running', 'Computing'), ('done', 'Done'), ('refused', 'Old book kept'), ('failed', 'Failed')], default='pending', max_length=8)),
                ('method', models.CharField(max_length=32)),
                ('policy', models.JSONField()),
                ('policy_digest', models.CharField(max_length=64)),
                ('inputs_digest', models.CharField(blank=True, max_length=64)),
                ('inputs', models.JSONField(default=dict)),
                ('outcome', models.JSONField(default=dict)),
                ('cost', models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True)),
                ('why', models.CharField(blank=True, max_length=500)),
                ('requested_by_name', models.CharField(max_length=150)),
                ('requested_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('version', models.IntegerField(default=1)),
                ('requested_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rebalances', to=settings.AUTH_USER_MODEL)),
                ('venue', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rebalances', to='trading.venue')),
            ],
            options={
                'ordering': ['-requested_at', '-id'],
                'indexes': [models.Index(fields=['venue', '-requested_at'], name='rebalance_newest')],
            },
        ),
    ]
