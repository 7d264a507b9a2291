"""The API's methods: messages to domain values and back, errors to statuses."""
