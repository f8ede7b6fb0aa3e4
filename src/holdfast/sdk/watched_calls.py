"""What strict mode looks for in handler code: calls by the name under which each net sees them.

AUDITED    events of `sys.audit`: most I/O
PROFILED   functions of C, for a profile function: clocks, chance, and the I/O that is not audited
METHODS    methods of C, by name; `find_method` tells from the object whether one is meant

Each comes with its kind and its cure. The kinds: WORLD waits for something outside the process and is refused
whoever asks; LOCAL (files, threads) and VALUE (clocks, chance) are refused when the user's code asks.
"""

import _thread
import datetime
import os
import random
import socket
import time
import uuid

WORLD, LOCAL, VALUE = "world", "local", "value"

Found = tuple[str, str, str]
"""Name, kind, cure."""

STEP_CURE = "Move it into a step: `await ctx.run(function, ...)`"
SLEEP_CURE = "`await asyncio.sleep(...)` and `await ctx.sleep(...)` are durable and block nobody"
THREAD_CURE = (
    "A plain function given to a step runs in a thread: `await ctx.run(function, ...)`; to do several things "
    "at once, asyncio.gather them"
)
NOW_CURE = "`await ctx.now()` gives the time, journaled"
ELAPSED_CURE = "Measure inside the step, or take `await ctx.now()` before and after"
RANDOM_CURE = "`ctx.random` is a random.Random that replays repeat"
UUID_CURE = "`ctx.uuid()` gives one that replays repeat"
SECRET_CURE = (
    "Take it in a step, `await ctx.run(secrets.token_hex)`, or, if it need not be secret, from `ctx.random`"
)

_WORLD_EVENTS = [
    "builtins.input", "ftplib.connect", "http.client.connect", "imaplib.open", "nntplib.connect",
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
    "poplib.connect", "pty.spawn", "smtplib.connect", "socket.__new__", "socket.bind", "socket.connect",
    "socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname", "socket.getnameinfo",
    "socket.sendmsg", "socket.sendto", "sqlite3.connect", "subprocess.Popen", "telnetlib.Telnet.open",
    "urllib.Request", "webbrowser.open",
]  # fmt: skip
_LOCAL_EVENTS = [
    "fcntl.flock", "fcntl.lockf", "glob.glob", "os.chdir", "os.chmod", "os.chown", "os.kill", "os.killpg",
    "os.link", "os.listdir", "os.listxattr", "os.mkdir", "os.putenv", "os.remove", "os.rename",
    "os.rmdir", "os.scandir", "os.symlink", "os.truncate", "os.unsetenv", "os.utime", "os.walk",
    "os.fwalk", "shutil.chown", "shutil.copyfile", "shutil.copymode", "shutil.copystat",
    "shutil.copytree", "shutil.make_archive", "shutil.move", "shutil.rmtree", "shutil.unpack_archive",
    "tempfile.mkdtemp", "tempfile.mkstemp",
]  # fmt: skip
AUDITED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_WORLD_EVENTS, (WORLD, STEP_CURE)),
    **dict.fromkeys(_LOCAL_EVENTS, (LOCAL, STEP_CURE)),
    "open": (LOCAL, STEP_CURE),
    "time.sleep": (WORLD, SLEEP_CURE),
    "_thread.start_new_thread": (LOCAL, THREAD_CURE),
    "_thread.start_joinable_thread": (LOCAL, THREAD_CURE),
}

SHOW_DETAIL = ("sqlite3.", "socket.connect", "socket.get", "subprocess.")
"""WORLD events whose first text or address tells what is meant. A URL or a command line may hold a secret; of
LOCAL events, the path is shown."""

# A bound method of C compares equal to another one of the same object, so a dict finds them.
PROFILED: dict[object, Found] = {
    time.sleep: ("time.sleep", WORLD, SLEEP_CURE),
    os.urandom: ("os.urandom", VALUE, SECRET_CURE),
    **{call: (f"os.{call.__name__}", LOCAL, STEP_CURE) for call in (os.stat, os.lstat, os.access)},
    **{call: (f"time.{call.__name__}", VALUE, NOW_CURE) for call in (time.time, time.time_ns)},
    **{
        call: (f"time.{call.__name__}", VALUE, ELAPSED_CURE)
        for call in (time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns)
    },
}
_GLOBAL_RANDOM: random.Random = getattr(random, "_inst")  # noqa: B009 - private, and absent from typeshed
for _name in ("random", "getrandbits"):
    PROFILED[getattr(_GLOBAL_RANDOM, _name)] = (f"random.{_name}", VALUE, RANDOM_CURE)
if (_generate := getattr(uuid, "_generate_time_safe", None)) is not None:
    PROFILED[_generate] = ("uuid.uuid1", VALUE, UUID_CURE)
# From 3.13 on `threading` uses another one, which is audited.
PROFILED[_thread.start_new_thread] = ("_thread.start_new_thread", LOCAL, THREAD_CURE)

_CLOCK_METHODS = frozenset(["now", "utcnow", "today"])
_SOCKET_METHODS = frozenset(
    ["accept", "read", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "send", "sendall",
     "write"]
)  # fmt: skip
_DATABASE_METHODS = frozenset(["execute", "executemany", "executescript", "commit", "rollback"])
METHODS = _CLOCK_METHODS | _SOCKET_METHODS | _DATABASE_METHODS
_SOCKETS = (socket.SocketType,)


def find_method(name: str, owner: object) -> Found | None:
    """What a method of C with one of `METHODS`' names comes to, by its object."""
    if name in _CLOCK_METHODS:
        if isinstance(owner, type) and issubclass(owner, datetime.date):
            return f"{owner.__name__}.{name}", VALUE, NOW_CURE
    elif name in _SOCKET_METHODS:
        if isinstance(owner, _SOCKETS) or type(owner).__name__ == "_SSLSocket":
            return f"socket.{name}", WORLD, STEP_CURE
    elif type(owner).__module__ == "sqlite3":
        return f"sqlite3.{type(owner).__name__}.{name}", WORLD, STEP_CURE
    return None
