"""Whole lives on virtual time: the real code of sidecar and plane, without processes or sleep."""
