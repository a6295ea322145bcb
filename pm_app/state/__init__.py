"""Files of ours below the state folder: panes, events, memory, versions, and who holds them."""
