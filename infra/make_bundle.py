"""The maker's tool: pack this tree's agent into a bundle and sign its manifest.

    python infra/make_bundle.py OUT --version 0.2.0 --key release.key [--days 90] [--notes TEXT]

Writes OUT/agent-0.2.0.zip, .manifest and .sig. The key (PKCS#8 PEM, P-256) stays with the maker; its public half is laid down on
lab PCs as `release.pem`.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common import crypto, release

REPO = Path(__file__).resolve().parents[1]
FIXED = (1980, 1, 1, 0, 0, 0)  # the same tree gives the same bytes


def pack(version: str, out: Path) -> None:
    """Write the zip: `agent` and `common`, with the version put in."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for top in ("agent", "common"):
            for path in sorted((REPO / top).rglob("*")):
                if not path.is_file() or "__pycache__" in path.parts:
                    continue
                name, data = path.relative_to(REPO).as_posix(), path.read_bytes()
                if name == "agent/status.py":
                    data = re.sub(rb'^VERSION = ".*"$', f'VERSION = "{version}"'.encode(), data, flags=re.M)
                archive.writestr(zipfile.ZipInfo(name, FIXED), data, zipfile.ZIP_DEFLATED)


def main() -> None:
    """Pack, describe, sign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--notes", default="")
    args = parser.parse_args()
    release.number(args.version)
    args.out.mkdir(parents=True, exist_ok=True)
    bundle = args.out / f"agent-{args.version}.zip"
    pack(args.version, bundle)
    data, now = bundle.read_bytes(), datetime.now(UTC)
    ends = now + timedelta(days=args.days)
    made = release.Manifest(args.version, crypto.sha256_hex(data), len(data), now.isoformat(), ends.isoformat(), args.notes)
    bundle.with_suffix(".manifest").write_bytes(made.text())
    bundle.with_suffix(".sig").write_bytes(crypto.sign(crypto.load_private(args.key.read_bytes()), made.text()))
    print(bundle)


if __name__ == "__main__":
    main()
