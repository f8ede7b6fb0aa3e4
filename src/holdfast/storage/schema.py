"""The schema of a partition's file, as numbered migrations: never edit one that was released, add the next.

Keys are what a B-tree likes: a journal entry's key is `row << 20 | index`, so that one invocation's entries
lie together and new ones come at the end. Random ids (24 bytes) are not indexed: an id minted here holds its
row number; only derived ids (idempotent requests, workflow runs) need `invocation_alias`.
"""

INVOCATION_COLUMNS = (
    "row", "id", "service", "handler", "key", "kind", "status", "status_number", "awaiting",
    "created_at", "modified_at", "completion_ms", "journal_ms", "origin_kind", "origin_id", "origin_target",
    "waiter_id", "waiter_completion", "waiter_kind", "idempotency_key", "deployment", "protocol_version",
    "length", "commands", "retry_count", "next_retry_at", "failure", "progress_at", "scheduled_at",
    "start_at", "inboxed_at", "running_at", "journal_purged", "flags", "scope", "limit_key",
    "trace_parent", "pausing", "attempt", "completed_at", "result_value", "result_code", "result_message",
    "result_metadata",
)  # fmt: skip

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE invocation (
        row INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        service TEXT NOT NULL,
        handler TEXT NOT NULL,
        key TEXT,
        kind INTEGER NOT NULL,              -- TargetKind
        status INTEGER NOT NULL,            -- 0 scheduled 1 inboxed 2 invoked 3 suspended 4 paused 5 done
        status_number INTEGER,              -- scheduled: start_at; inboxed: sequence; suspended: known
        awaiting TEXT,                      -- suspended: the await tree, JSON
        created_at INTEGER NOT NULL,
        modified_at INTEGER NOT NULL,
        completion_ms INTEGER NOT NULL,
        journal_ms INTEGER NOT NULL,
        origin_kind INTEGER NOT NULL,
        origin_id BLOB,
        origin_target TEXT,
        waiter_id BLOB,
        waiter_completion INTEGER,
        waiter_kind INTEGER,
        idempotency_key TEXT,
        deployment TEXT,
        protocol_version INTEGER,
        length INTEGER NOT NULL,            -- exact unless invoked
        commands INTEGER NOT NULL,          -- exact unless invoked
        retry_count INTEGER NOT NULL,
        next_retry_at INTEGER,
        failure TEXT,                       -- the last attempt failure, JSON
        progress_at INTEGER NOT NULL,
        scheduled_at INTEGER,
        start_at INTEGER,
        inboxed_at INTEGER,
        running_at INTEGER,
        journal_purged INTEGER NOT NULL,
        has_attached INTEGER NOT NULL,
        scope TEXT,
        limit_key TEXT,
        trace_parent TEXT,
        pausing INTEGER NOT NULL,           -- invoked, and to be paused when its attempt ends
        attempt INTEGER NOT NULL,           -- number of the latest attempt
        completed_at INTEGER,
        result_value BLOB,                  -- completed with success
        result_code INTEGER,                -- completed with failure
        result_message TEXT,
        result_metadata TEXT                -- JSON list of pairs
    );
    CREATE INDEX invocation_invoked ON invocation(row) WHERE status = 2;

    CREATE TABLE invocation_alias (id BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE journal (
        key INTEGER PRIMARY KEY,            -- row << 20 | index
        type INTEGER NOT NULL,              -- the wire's type id
        ref,                                -- completion id; signal index or name; a command's answer id
        callee BLOB,                        -- the invocation a call or send started
        at INTEGER NOT NULL,
        body BLOB NOT NULL                  -- as on the wire
    );

    CREATE TABLE event (
        number INTEGER PRIMARY KEY,
        row INTEGER NOT NULL,
        after_index INTEGER NOT NULL,
        at INTEGER NOT NULL,
        type TEXT NOT NULL,
        detail TEXT NOT NULL                -- JSON
    );
    CREATE INDEX event_row ON event(row);

    CREATE TABLE state (
        object TEXT NOT NULL,               -- service/key
        key BLOB NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (object, key)
    ) WITHOUT ROWID;

    CREATE TABLE object_lock (object TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE inbox (
        object TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        row INTEGER,                        -- the invocation that waits
        mutation BLOB,                      -- or the state replacement
        PRIMARY KEY (object, sequence)
    ) WITHOUT ROWID;

    CREATE TABLE promise (
        object TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB,
        code INTEGER,
        message TEXT,
        metadata TEXT,
        PRIMARY KEY (object, key)
    ) WITHOUT ROWID;

    CREATE TABLE promise_listener (
        object TEXT NOT NULL,
        key TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        row INTEGER NOT NULL,
        completion_id INTEGER NOT NULL,
        PRIMARY KEY (object, key, sequence)
    ) WITHOUT ROWID;

    CREATE TABLE waiter (
        row INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        id BLOB NOT NULL,
        completion_id INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        PRIMARY KEY (row, sequence)
    ) WITHOUT ROWID;

    CREATE TABLE timer (
        fire_at INTEGER NOT NULL,
        row INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        completion_id INTEGER NOT NULL,
        PRIMARY KEY (fire_at, row, kind, completion_id)
    ) WITHOUT ROWID;

    CREATE TABLE outbox (
        destination INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        message BLOB NOT NULL,
        PRIMARY KEY (destination, sequence)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE invocation RENAME COLUMN has_attached TO flags;  -- 1 has attached, 2 has step metadata

    CREATE TABLE step_metadata (
        key INTEGER PRIMARY KEY,            -- row << 20 | completion id of the run command
        entry_index INTEGER NOT NULL,       -- of the run command
        metadata TEXT NOT NULL              -- a JSON object
    );
    """,
    """
    CREATE TABLE attempt (                  -- of invocations with flag 4
        row INTEGER NOT NULL,
        number INTEGER NOT NULL,            -- the engine's, with gaps
        started_at INTEGER NOT NULL,
        ended_at INTEGER NOT NULL,
        outcome INTEGER NOT NULL,           -- 0 suspended 1 failed 2 completed 3 paused 4 aborted
        deployment TEXT,
        error TEXT,                         -- JSON: code, message, doc code, command index
        PRIMARY KEY (row, number)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE blob (                     -- contents of large values, see `blobs`
        digest BLOB NOT NULL,
        data BLOB NOT NULL
    );
    CREATE UNIQUE INDEX blob_digest ON blob(digest);

    CREATE TABLE blob_use (                 -- which rows hold them
        holder INTEGER NOT NULL,            -- Holder
        name NOT NULL,                      -- the row, as its table's Holder says
        digest BLOB NOT NULL,
        PRIMARY KEY (holder, name)
    ) WITHOUT ROWID;
    CREATE INDEX blob_use_digest ON blob_use(digest);
    """,
)
