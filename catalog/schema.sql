-- What the migrations come to, compared by a test: add a migration, never change this file alone.

PRAGMA application_id = 1146051151;
PRAGMA user_version = 1;

CREATE TABLE repositories (
    repository TEXT NOT NULL PRIMARY KEY CHECK (length(repository) = 32 AND repository NOT GLOB '*[^0-9a-f]*'),
    -- SHA-256 of the owner's public key: what the recovery sheet shows.
    owner_key TEXT NOT NULL CHECK (length(owner_key) = 64 AND owner_key NOT GLOB '*[^0-9a-f]*'),
    -- The last statement of the owner chain.
    owner_statement INTEGER NOT NULL CHECK (owner_statement >= 0),
    -- The store it was read from, and how often that store was put back to an earlier state.
    store TEXT NOT NULL CHECK (length(store) = 32 AND store NOT GLOB '*[^0-9a-f]*'),
    incarnation INTEGER NOT NULL CHECK (incarnation >= 0),
    -- The last slot of the control log; both NULL while there is none.
    log_epoch INTEGER CHECK (log_epoch >= 0),
    log_slot INTEGER CHECK (log_slot >= 0),
    CHECK ((log_epoch IS NULL) = (log_slot IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE writers (
    repository TEXT NOT NULL REFERENCES repositories (repository),
    -- SHA-256 of the public key.
    key TEXT NOT NULL CHECK (length(key) = 64 AND key NOT GLOB '*[^0-9a-f]*'),
    -- The name of the writer in paths of the repository.
    writer TEXT NOT NULL CHECK (writer = substr(key, 1, 32)),
    role TEXT NOT NULL CHECK (role IN ('owner', 'maintainer', 'writer')),
    -- The dedup domain; NULL for the owner, who may write to all.
    domain INTEGER CHECK (domain >= 0),
    label TEXT NOT NULL,
    -- The owner's statement that enrols the key.
    statement INTEGER NOT NULL CHECK (statement >= 0),
    -- 1: only the guests in `writer_guests`; 0: all.
    is_limited INTEGER NOT NULL CHECK (is_limited IN (0, 1)),
    is_revoked INTEGER NOT NULL CHECK (is_revoked IN (0, 1)),
    PRIMARY KEY (repository, key),
    CHECK ((role = 'owner') = (domain IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE guests (
    repository TEXT NOT NULL REFERENCES repositories (repository),
    guest TEXT NOT NULL CHECK (length(guest) = 32 AND guest NOT GLOB '*[^0-9a-f]*'),
    -- What its newest point calls it, newest by the log and not by a clock; NULL while it has none.
    label TEXT,
    PRIMARY KEY (repository, guest)
) STRICT, WITHOUT ROWID;

CREATE INDEX guests_by_label ON guests (label);

CREATE TABLE writer_guests (
    repository TEXT NOT NULL,
    key TEXT NOT NULL,
    guest TEXT NOT NULL,
    PRIMARY KEY (repository, key, guest),
    FOREIGN KEY (repository, key) REFERENCES writers (repository, key),
    FOREIGN KEY (repository, guest) REFERENCES guests (repository, guest)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    repository TEXT NOT NULL REFERENCES repositories (repository),
    session TEXT NOT NULL CHECK (length(session) = 32 AND session NOT GLOB '*[^0-9a-f]*'),
    key TEXT NOT NULL,
    incarnation INTEGER NOT NULL CHECK (incarnation >= 0),
    epoch INTEGER NOT NULL CHECK (epoch >= 0),
    slot INTEGER NOT NULL CHECK (slot >= 0),
    entry_count INTEGER NOT NULL CHECK (entry_count >= 0),
    -- open: more may follow; ended: its writer said so; abandoned; fenced: ended from outside.
    state TEXT NOT NULL CHECK (state IN ('open', 'ended', 'abandoned', 'fenced')),
    PRIMARY KEY (repository, session),
    FOREIGN KEY (repository, key) REFERENCES writers (repository, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_key ON sessions (repository, key);

CREATE TABLE points (
    repository TEXT NOT NULL REFERENCES repositories (repository),
    point TEXT NOT NULL CHECK (length(point) = 32 AND point NOT GLOB '*[^0-9a-f]*'),
    -- SHA-256 of the record.
    content TEXT NOT NULL CHECK (length(content) = 64 AND content NOT GLOB '*[^0-9a-f]*'),
    guest TEXT NOT NULL,
    -- What the record calls the guest.
    label TEXT NOT NULL,
    -- The instant of consistency, and where that time comes from.
    taken_at_ns INTEGER NOT NULL CHECK (taken_at_ns >= 0),
    clock TEXT NOT NULL,
    consistency TEXT NOT NULL,
    trust TEXT NOT NULL,
    -- The point it builds on, which may be gone; NULL without one.
    base TEXT CHECK (length(base) = 32 AND base NOT GLOB '*[^0-9a-f]*'),
    -- Where the record stands first, and in how many places.
    session TEXT NOT NULL,
    entry INTEGER NOT NULL CHECK (entry >= 0),
    place_count INTEGER NOT NULL CHECK (place_count >= 1),
    PRIMARY KEY (repository, point, content),
    FOREIGN KEY (repository, guest) REFERENCES guests (repository, guest),
    FOREIGN KEY (repository, session) REFERENCES sessions (repository, session)
) STRICT, WITHOUT ROWID;

CREATE INDEX points_by_guest ON points (repository, guest, taken_at_ns);

CREATE INDEX points_by_time ON points (taken_at_ns);

CREATE INDEX points_by_session ON points (repository, session);

CREATE TABLE images (
    repository TEXT NOT NULL,
    point TEXT NOT NULL,
    content TEXT NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- As the guest sees it, holes included.
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    -- The format it was read from.
    format TEXT NOT NULL,
    -- Id of the image root.
    root TEXT NOT NULL CHECK (length(root) = 64 AND root NOT GLOB '*[^0-9a-f]*'),
    domain INTEGER NOT NULL CHECK (domain >= 0),
    PRIMARY KEY (repository, point, content, position),
    FOREIGN KEY (repository, point, content) REFERENCES points (repository, point, content)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    repository TEXT NOT NULL,
    point TEXT NOT NULL,
    content TEXT NOT NULL,
    host TEXT NOT NULL,
    tool TEXT NOT NULL,
    started_at_ns INTEGER NOT NULL CHECK (started_at_ns >= 0),
    ended_at_ns INTEGER NOT NULL CHECK (ended_at_ns >= 0),
    -- Read from the source; of these, not known to be as in the base; of these, not in the repository before.
    read_bytes INTEGER NOT NULL CHECK (read_bytes >= 0),
    changed_bytes INTEGER NOT NULL CHECK (changed_bytes >= 0),
    new_bytes INTEGER NOT NULL CHECK (new_bytes >= 0),
    -- Packs written for them.
    stored_bytes INTEGER NOT NULL CHECK (stored_bytes >= 0),
    PRIMARY KEY (repository, point, content),
    FOREIGN KEY (repository, point, content) REFERENCES points (repository, point, content)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    repository TEXT NOT NULL REFERENCES repositories (repository),
    position INTEGER NOT NULL CHECK (position >= 0),
    sentence TEXT NOT NULL,
    PRIMARY KEY (repository, position)
) STRICT, WITHOUT ROWID;
