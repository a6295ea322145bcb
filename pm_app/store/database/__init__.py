"""The database: connections, dialects, migrations, backups, whose it is."""
