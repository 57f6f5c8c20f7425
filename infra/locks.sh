#!/bin/bash
# Write the four hashed locks anew from pyproject.toml; one version of everything in all of them. Needs `./dev setup`.
#   infra/locks.sh            keep the versions that are locked, change only what pyproject.toml asks for
#   infra/locks.sh --upgrade  take the newest that pyproject.toml allows
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
compile() { # compile OUTPUT EXTRA...
  local output=$1 extras=() extra
  shift
  for extra in build "$@"; do extras+=(--extra "$extra"); done
  .venv/bin/uv pip compile pyproject.toml "${extras[@]}" --generate-hashes --no-emit-index-url --no-header --no-annotate -q \
    --universal --python-version 3.11 -o "$output" "${more[@]}"
}
more=("$@")
compile requirements-dev.lock agent kiosk cloud demo dev
more=(-c requirements-dev.lock)
compile requirements-demo.lock agent kiosk cloud demo
compile requirements-cloud.lock cloud
compile requirements-agent.lock agent kiosk
