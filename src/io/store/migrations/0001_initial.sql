-- Dates are Unix milliseconds. Users, keys and workers are never deleted: what names one stays readable.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 64),
    value BLOB NOT NULL CHECK (length(value) <= 4096)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^a-z0-9._@-]*'),
    role TEXT NOT NULL CHECK (role IN ('employee', 'worker_owner', 'it_admin', 'security_officer')),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1))
) STRICT;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    user_id INTEGER NOT NULL REFERENCES users (id),
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    label TEXT NOT NULL,
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    expires_ms INTEGER NOT NULL CHECK (expires_ms >= 0), -- 0: never
    revoked_ms INTEGER CHECK (revoked_ms > 0)            -- NULL: not revoked
) STRICT;

CREATE INDEX keys_by_user ON keys (user_id);

CREATE TABLE join_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 8),
    secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
    owner TEXT NOT NULL,
    tiers TEXT NOT NULL,
    expires_ms INTEGER NOT NULL CHECK (expires_ms >= 0),
    worker_expires_ms INTEGER NOT NULL CHECK (worker_expires_ms >= 0), -- 0: never
    created_by INTEGER NOT NULL REFERENCES users (id),
    used_ms INTEGER CHECK (used_ms >= 0)                               -- NULL: not used
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    class TEXT NOT NULL,
    tiers TEXT NOT NULL,
    requested_by INTEGER NOT NULL REFERENCES users (id),
    approved_by INTEGER NOT NULL REFERENCES users (id),
    state TEXT NOT NULL CHECK (state IN ('approved', 'revoked')),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    expires_ms INTEGER NOT NULL CHECK (expires_ms >= 0), -- 0: never
    revoked_ms INTEGER CHECK (revoked_ms > 0),
    last_seen_ms INTEGER NOT NULL DEFAULT 0 CHECK (last_seen_ms >= 0),
    CHECK ((state = 'revoked') = (revoked_ms IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE receipts (
    job_id BLOB NOT NULL PRIMARY KEY CHECK (length(job_id) = 16),
    user_id INTEGER NOT NULL REFERENCES users (id),
    worker_id BLOB NOT NULL REFERENCES workers (id),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    receipt BLOB NOT NULL CHECK (length(receipt) BETWEEN 1 AND 65536),
    worker_signature BLOB NOT NULL CHECK (length(worker_signature) = 64),
    worker_key BLOB NOT NULL CHECK (length(worker_key) = 32),
    salt BLOB NOT NULL CHECK (length(salt) = 32),
    pool_signature BLOB CHECK (length(pool_signature) = 64)
) STRICT;

CREATE INDEX receipts_by_date ON receipts (created_ms);
