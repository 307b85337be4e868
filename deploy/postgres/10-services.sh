#!/usr/bin/env bash
# Gives every service its own database, a role that owns the schema and a role it runs as; nobody else may connect.
# Runs once, when the server's data folder is made. RELEVE_DATABASE_PASSWORD: the password of these roles.
set -eu
for service in intake review funding notify ops; do
  psql -v ON_ERROR_STOP=1 -v database="releve_$service" -v runtime="releve_$service" -v owner="releve_${service}_owner" \
    -v password="$RELEVE_DATABASE_PASSWORD" -U "${POSTGRES_USER:-postgres}" -d postgres <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE ROLE :"runtime" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"owner";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"runtime";
SQL
done
