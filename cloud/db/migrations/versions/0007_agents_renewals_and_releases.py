"""agents: certificates before the newest, live tails, releases and the consent to them"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def _made(name: str, *columns: sa.Column[Any], **foreign: str) -> None:
    op.create_table(
        name,
        sa.Column('tenant_id', sa.Integer(), nullable=False),
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *columns,
        *(
            sa.ForeignKeyConstraint(['tenant_id', column], [f'{table}.tenant_id', f'{table}.id'], name=op.f(f'fk_{name}_tenant_id_{column}'))
            for column, table in foreign.items()
        ),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f(f'fk_{name}_tenant_id')),
        sa.PrimaryKeyConstraint('tenant_id', 'id', name=op.f(f'pk_{name}')),
    )


def _at(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)


def _ref(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    _made('agent_certificate', _ref('agent_id'), _text('serial'), _at('issued_at'), _at('not_after'), agent_id='agent')
    op.create_unique_constraint(op.f('uq_agent_certificate_tenant_id_serial'), 'agent_certificate', ['tenant_id', 'serial'])
    _made('edge_tail', _ref('agent_id'), _text('conn_key'), _at('at'), _text('direction'), _text('text'), agent_id='agent')
    op.create_index('ix_edge_tail_connection', 'edge_tail', ['tenant_id', 'agent_id', 'conn_key', 'id'], unique=False)
    _made(
        'agent_release', _text('version'), _text('manifest'), sa.Column('signature', sa.LargeBinary(), nullable=False),
        sa.Column('bundle', sa.LargeBinary(), nullable=False), _at('published_at'), _text('published_by'), _at('withdrawn_at', True),
    )
    op.create_unique_constraint(op.f('uq_agent_release_tenant_id_version'), 'agent_release', ['tenant_id', 'version'])
    _made(
        'agent_consent', _ref('release_id'), _text('kind'), _text('person'), _text('recorded_by'), _at('at'), _at('written_at', True),
        release_id='agent_release',
    )
    op.create_unique_constraint(op.f('uq_agent_consent_tenant_id_release_id'), 'agent_consent', ['tenant_id', 'release_id'])


def downgrade() -> None:
    for name in ('agent_consent', 'agent_release', 'edge_tail', 'agent_certificate'):
        op.drop_table(name)
