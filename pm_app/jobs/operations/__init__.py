"""What keeps a plant running: alarms, messages, backups, exports."""
