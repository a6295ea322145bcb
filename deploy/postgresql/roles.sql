-- Roles for pm-app on PostgreSQL, safe to run again. As a superuser, in the plant's database:
--   createdb pm_app
--   psql -d pm_app -v owner_password=... -v reader_password=... -f roles.sql
-- pm_app owns the tables and migrates them; pm_app_bi reads predictions, alarms, files and models
-- and can change nothing. Run it again after an upgrade that brought a new table for readers.
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE pm_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', :'owner_password')
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'pm_app')
\gexec
SELECT format('CREATE ROLE pm_app_bi LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 10 PASSWORD %L', :'reader_password')
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'pm_app_bi')
\gexec

-- A forgotten report neither holds back the daemon's clean-up nor runs for ever.
ALTER ROLE pm_app_bi SET default_transaction_read_only = on;
ALTER ROLE pm_app_bi SET statement_timeout = '5min';
ALTER ROLE pm_app_bi SET idle_in_transaction_session_timeout = '5min';

SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
\gexec
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO pm_app', current_database())
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO pm_app_bi', current_database())
\gexec
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO pm_app;
GRANT USAGE ON SCHEMA public TO pm_app_bi;

-- Tables that there are. Those of people and what lets them in (users, sessions, oidc_sessions,
-- api_tokens, sign_in_attempts, audit) and addresses of messages (outbox) are not for reports.
SELECT format('GRANT SELECT ON %I TO pm_app_bi', name)
FROM unnest(ARRAY[
    'fleet_now', 'open_alarms',
    'predictions', 'prediction_history', 'latest_predictions', 'prediction_peaks', 'retirements',
    'alarms', 'alarm_events', 'verdicts', 'thresholds',
    'assets', 'batches', 'left_columns',
    'versions', 'retrainings', 'promotions', 'importances',
    'alembic_version'
]) AS name
WHERE to_regclass('public.' || name) IS NOT NULL
\gexec
