"""Domain values to API messages and back. Pure; what comes from a message has been validated.

`X_to_message(value)` and `X_from_message(message, field)`: `field` is the path of the message
within the request, and `InvalidInput` names what is wrong by its path below it.
"""
