"""Draft the next migration from what the models say: ``python -m tests.support.revise "words of the file name"``.

The draft is Alembic's; read it, make it additive (the previous release still serves while it runs), and only then commit it. It also
proposes indexes over an expression again, which PostgreSQL tells in other words than ours: take those lines out.
"""

import re
import sys

from alembic import command
from sqlalchemy import create_engine

from cloud.db import migrate
from cloud.modules.tables import METADATA
from tests.support import database


def main() -> int:
    words = " ".join(sys.argv[1:])
    with database.server() as server:
        engine = create_engine(server.create().owner_url)
        with engine.begin() as conn:
            cfg = migrate.config(METADATA, conn)
            command.upgrade(cfg, "head")
            last = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
            number = f"{int(re.match(r'[0-9]+', str(last))[0]) + 1:04d}"
            command.revision(cfg, words, autogenerate=True, rev_id=number)
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
