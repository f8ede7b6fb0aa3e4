"""The partition loop: records in, one transaction, actions out; and the engine over all partitions.

Owns       group commit, the order of things around it, ids and rows, who waits for which invocation.
Promises   nothing leaves before its commit: no answer, acknowledgement, push, timer or message.
Never      decides what a record means (core does) or speaks to the network (ingress and invoker do).
"""
