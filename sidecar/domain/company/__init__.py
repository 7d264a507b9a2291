"""To whom it is sold: companies, their subscriptions, and the timelines of both."""
