"""A stranger's bytes, into everything that reads them.

    targets.py    one function per reader: bytes in, an outcome out, an exception only for a bug of ours
    ingress.py    an ingress in memory, and its clients
    invoker.py    a partition with its runner, and the deployments it pushes to
    h1_client.py  the HTTP/1.1 client, and deployments that answer it
    admin.py      requests to the admin interface
    sql.py        queries of operators
    seeds.py      what the readers are meant to read: captured frames, whole connections
    mutation.py   the fuzzer: breaks seeds, keeps what had a new outcome
    guided.py     the same targets under atheris, where it is installed: guided by coverage

`python -m tests.fuzz --seconds N [--target NAME] [--engine mutation|atheris]` (`make fuzz`). A failure prints
the input and the command that repeats it. A slice of it is an ordinary test.
"""

import sys
from pathlib import Path

# As pytest does: the tests' own packages import each other by their short names.
if (_tests := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.append(_tests)
