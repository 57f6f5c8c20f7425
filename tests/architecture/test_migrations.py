"""What the migrations make of an empty database is what the models say; a hospital with rows comes over, too."""

from alembic import command
from sqlalchemy import create_engine, text

from cloud.db import migrate, tenancy
from cloud.embedded.postgres import APP
from cloud.modules.tables import METADATA
from tests.support.database import TestDatabase


def test_migrations_and_models_agree(empty_db: TestDatabase) -> None:
    migrate.upgrade(empty_db.owner_url, METADATA, APP)
    assert migrate.differences(empty_db.owner_url, METADATA) == []
    migrate.upgrade(empty_db.owner_url, METADATA, APP)  # a second run changes nothing
    assert migrate.differences(empty_db.owner_url, METADATA) == []


# A person with a role, a look that broke the glass, a ticket: later releases let each of them name another row.
ROWS = """
INSERT INTO tenant (id, code, name) VALUES (1, 'a', 'A');
INSERT INTO app_user (tenant_id, employee_no, name, password_hash, password_set_at) VALUES (1, '1', '甲', '', now());
INSERT INTO role (tenant_id, code, name) VALUES (1, 'tester', '检验者');
INSERT INTO user_role (tenant_id, user_id, role_id) SELECT 1, u.id, r.id FROM app_user u, role r;
INSERT INTO patient (tenant_id, patient_no, name, pinyin, sex) VALUES (1, 'P1', '乙', 'y', 'M');
INSERT INTO break_glass (tenant_id, user_id, patient_id, reason, at, until)
SELECT 1, u.id, p.id, '抢救', now(), now() FROM app_user u, patient p;
INSERT INTO ticket (tenant_id, channel, notified_at, typed_at, reporter, category, severity, title, due_at)
VALUES (1, '网页', now(), now(), '甲', 'fault', 'P2', '打不开', now())
"""


def test_a_hospital_with_rows_is_brought_up_to_date(empty_db: TestDatabase) -> None:
    """Row security holds for the owner as well: a new foreign key checks the rows that stand, and may not stumble over it."""
    engine = create_engine(empty_db.owner_url)
    with engine.begin() as conn:
        command.upgrade(migrate.config(METADATA, conn), "0023")
        for table in ("app_user", "role", "user_role", "patient", "break_glass", "ticket"):
            for statement in tenancy.protect(table):
                conn.execute(text(statement))
        conn.execute(text("SELECT set_config('app.tenant', '1', true)"))
        for statement in ROWS.split(";"):
            conn.execute(text(statement))
    engine.dispose()
    migrate.upgrade(empty_db.owner_url, METADATA, APP)
    assert migrate.differences(empty_db.owner_url, METADATA) == []
