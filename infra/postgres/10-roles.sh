#!/bin/bash
# First start of the database's container: the two roles and the database. The app role owns nothing and bypasses nothing.
set -euo pipefail
owner=$(cat /run/secrets/postgres-owner)
app=$(cat /run/secrets/postgres-app)
psql -v ON_ERROR_STOP=1 -v owner="$owner" -v app="$app" --username postgres <<'SQL'
CREATE ROLE jianlian_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'owner';
CREATE ROLE jianlian_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'app';
CREATE DATABASE jianlian OWNER jianlian_owner;
REVOKE ALL ON DATABASE jianlian FROM PUBLIC;
GRANT CONNECT ON DATABASE jianlian TO jianlian_app;
SQL
