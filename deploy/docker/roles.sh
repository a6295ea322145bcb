#!/bin/sh
# Run once by PostgreSQL's image, when the database is made.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -d pm_app -v owner_password="$PM_APP_DATABASE_PASSWORD" -v reader_password="$PM_APP_READER_PASSWORD" -f /opt/roles.sql
