"""Commands that act: people's decisions on alarms, who may sign in, what is kept elsewhere."""
