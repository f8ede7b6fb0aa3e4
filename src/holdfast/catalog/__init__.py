"""What is registered: deployments, the services they serve, and each handler's effective settings.

Owns        the file `meta.sqlite`: deployments with their manifests, revisions, operators' patches, the
            number of partitions. Also the discovery request that a registration begins with.
Promises    an answer means durable: a registration or patch is on disk before anybody sees it. Lookups are
            dictionary lookups and never touch the disk.
Never does  invocations. Which deployment one is pinned to is the partition's to know.
"""
