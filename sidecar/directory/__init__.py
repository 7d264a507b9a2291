"""The directory: who the companies are and what they may do, arranged for deciding quickly."""
