"""Pool: a forest beside the network, and both in one graph."""
