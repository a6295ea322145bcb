"""Operation of a plant: alarms, notifications, backups, exports."""
