"""Watches: who is to be told what a company may do, and when something of it has changed."""
