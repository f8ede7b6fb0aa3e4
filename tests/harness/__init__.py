"""Real processes for tests and benchmarks: servers, services, clients.

Owns starting, watching and ending processes. Promises that every wait has a deadline, that a process is
ended by its own id even when a test fails, and that the same test runs against either server. Never
imports the package under test: it meets it as its users do, over sockets.
"""

from .clients import Admin, Ingress
from .compiled import LANGUAGES, CompiledService, Language
from .effects import Effects
from .processes import Process, free_port, wait_until
from .servers import HoldfastServer, RestateServer, Server, new_server
from .services import NODE, PythonService, Service, TypeScriptService

__all__ = [
    "LANGUAGES",
    "NODE",
    "Admin",
    "CompiledService",
    "Effects",
    "HoldfastServer",
    "Ingress",
    "Language",
    "Process",
    "PythonService",
    "RestateServer",
    "Server",
    "Service",
    "TypeScriptService",
    "free_port",
    "new_server",
    "wait_until",
]
