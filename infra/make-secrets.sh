#!/bin/bash
# Make infra/secrets/ for infra/compose.yaml: random passwords and the settings file that carries them. Never overwrites.
# The folder is its owner's alone; the files in it can be read by the users inside the containers, where each is mounted by itself.
set -euo pipefail
umask 077
cd "$(dirname "${BASH_SOURCE[0]}")"
[ ! -e secrets ] || { echo "infra/secrets exists already; nothing was changed" >&2; exit 1; }
mkdir secrets
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
for name in postgres-admin postgres-owner postgres-app minio-password; do random >secrets/$name; done
printf 'jianlian' >secrets/minio-user
sed -e "s|@APP@|$(cat secrets/postgres-app)|" -e "s|@OWNER@|$(cat secrets/postgres-owner)|" \
    -e "s|@SECRET@|$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')|" \
    -e "s|@MINIO_USER@|$(cat secrets/minio-user)|" -e "s|@MINIO_PASSWORD@|$(cat secrets/minio-password)|" \
    jianlian.example.toml >secrets/jianlian.toml
chmod 444 secrets/*
echo "infra/secrets made. Put your addresses into infra/secrets/jianlian.toml (base_url, mqtt_public_host)."
