"""The demo: the whole product on a simulated plant."""
