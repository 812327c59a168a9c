"""How hooks are called on the ranks that they are for, and how what they did comes to hold on all of them.

From the callbacks to the call: `placement` says where each runs, `hooks` which hooks it has, `roster` agrees on both
with the other ranks, `aggregate` brings the logs together, and `calls` calls the hooks in stretches between agreements.
Behind each stretch `effects` settles what it did, with `log_changes` and `decisions` as parts of its one message.
"""
