"""What the migrations make of an empty database is what the models say."""

from cloud.db import migrate
from cloud.embedded.postgres import APP
from cloud.modules.tables import METADATA
from tests.support.database import TestDatabase


def test_migrations_and_models_agree(empty_db: TestDatabase) -> None:
    migrate.upgrade(empty_db.owner_url, METADATA, APP)
    assert migrate.differences(empty_db.owner_url, METADATA) == []
    migrate.upgrade(empty_db.owner_url, METADATA, APP)  # a second run changes nothing
    assert migrate.differences(empty_db.owner_url, METADATA) == []
