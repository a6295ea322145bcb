"""Normal behaviour: what is usual, learned from readings alone, and which rows may teach it."""
