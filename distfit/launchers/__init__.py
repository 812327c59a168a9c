"""Starting a job of several ranks, and starting it again where it failed."""
