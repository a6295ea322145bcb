"""Work beside this process: tasks over the lanes of an engine, told and brought in files."""
