"""Pool: trees beside the network, and all of them in one graph."""
