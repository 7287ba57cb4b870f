-- The ledger, version 1. A row a batch, none a file: what a batch costs here does not grow with its files.
-- Text that strangers choose (names of files and columns) is kept as JSON in ASCII, so that any bytes survive.

CREATE TABLE batches (
    number         INTEGER PRIMARY KEY,
    batch_id       TEXT NOT NULL UNIQUE,
    parent_id      TEXT,
    state          TEXT NOT NULL,
    outcome        TEXT,                 -- how it ended (committed, quarantined, split, void); outlives the release
    attempt        INTEGER NOT NULL,
    dispatch       INTEGER NOT NULL,
    interruptions  INTEGER NOT NULL,
    tries          INTEGER NOT NULL,
    cut            INTEGER NOT NULL,     -- where a split divides the files; 0: in the middle
    sealed_because TEXT NOT NULL,
    sealed_at      REAL NOT NULL,        -- this and the other times: seconds since 1970, UTC
    total_bytes    INTEGER NOT NULL,
    n_files        INTEGER NOT NULL,
    worker_id      INTEGER,              -- the last one that had it
    started_at     REAL,                 -- first handed to a worker
    committed_at   REAL,
    changed_at     REAL NOT NULL,
    rows           INTEGER,
    succeeded      INTEGER,              -- files
    failed         INTEGER,              -- files
    failure        TEXT                  -- JSON: the last failure, until a commit
);

CREATE INDEX open_batches ON batches (number) WHERE state NOT IN ('released', 'void');
CREATE INDEX quarantined_batches ON batches (number) WHERE outcome = 'quarantined';
CREATE INDEX halves_of ON batches (parent_id) WHERE parent_id IS NOT NULL;

-- Apart from the rows that change with every move: a move rewrites 200 bytes and not the members too.
CREATE TABLE members (
    number INTEGER PRIMARY KEY REFERENCES batches,
    files  BLOB NOT NULL                 -- JSON: [[relpath, size, mtime_ns, ctime_ns, dev, inode], ...]
);

-- Only what tells something: a batch that simply worked leaves no row here.
CREATE TABLE history (
    number    INTEGER PRIMARY KEY,
    batch_id  TEXT NOT NULL,
    at        REAL NOT NULL,
    event     TEXT NOT NULL,             -- the state that it moved to
    attempt   INTEGER NOT NULL,
    dispatch  INTEGER NOT NULL,
    worker_id INTEGER,
    detail    TEXT                       -- JSON: {was, interruptions, failure?}
);

CREATE INDEX history_of_batch ON history (batch_id);

CREATE TABLE skipped (
    number  INTEGER PRIMARY KEY,
    skip_id TEXT NOT NULL UNIQUE,
    at      REAL NOT NULL,
    n_files INTEGER NOT NULL,
    files   BLOB NOT NULL                -- JSON: [[relpath, reason, detail, size, moved], ...]
);

CREATE TABLE output_schema (
    position INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,       -- JSON
    type     TEXT NOT NULL               -- JSON
);

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;  -- value: JSON
