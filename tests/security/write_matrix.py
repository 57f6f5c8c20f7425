"""Write tests/security/matrix.txt from the running app; the diff is what a reviewer signs off."""

from tests.security.test_routes import MATRIX, lines
from tests.support import database
from tests.support.lab import make


def main() -> None:
    """Make a hospital, list its routes, write the file."""
    with database.server() as server:
        made = server.create()
        database.build_schema(made)
        lab = make(made)
        MATRIX.write_text("\n".join(lines(lab)) + "\n", encoding="utf-8")
        lab.db.dispose()


if __name__ == "__main__":
    main()
