"""MQTT brokers (3.1.1): values recorded from them, predictions published to them.

FeedDelivery guarantee: at least once (QoS 1, a session that the broker keeps), each message
acknowledged once it is durable; what the broker sends again is recognised by its number.
"""
