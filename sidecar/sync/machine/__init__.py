"""State machines of the synchronisation, without I/O.

They take messages and the time, and give messages; a driver carries them out. A simulator can run
the very same code on virtual time.
"""
