"""The page of data: what came, what was refused, who is silent."""
