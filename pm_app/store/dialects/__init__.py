"""Database dialects: what differs between them, a file each and a row in a table."""
