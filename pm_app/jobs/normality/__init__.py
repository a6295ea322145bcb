"""Normal behaviour of a plant: what may teach it, its learning in a process apart, publishing."""
