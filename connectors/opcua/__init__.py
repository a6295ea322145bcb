"""OPC UA servers: values recorded by subscription, gaps filled from the server's history.

Delivery guarantee: every value of a node that the server has history of, once: after any outage,
of the server, the network or the recorder, history is read from the newest durable value on, and
new values wait until it is. Of nodes without history, what changed meanwhile is lost.
"""
