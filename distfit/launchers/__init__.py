"""Starting a job of several ranks, and starting it again where it failed.

`distfit.launchers.supervisor` is the whole of it: it starts a job, waits for its end, and decides what follows.
"""
