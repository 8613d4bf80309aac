-- Sessions of people and services: the right to be given short-lived tokens, until they end. No token is stored, only
-- the SHA-256 of the secret that the next refresh must bring, and of those that were brought before.

CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id INTEGER NOT NULL REFERENCES users (id),
    key_id INTEGER REFERENCES keys (id),   -- that it was made with; NULL: by single sign-on
    issuer TEXT NOT NULL DEFAULT '',       -- of the provider's tokens; empty: none
    subject TEXT NOT NULL DEFAULT '',      -- the person, as that provider says
    provider_session TEXT NOT NULL DEFAULT '',
    refresh_hash BLOB NOT NULL CHECK (length(refresh_hash) = 32),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    expires_ms INTEGER NOT NULL CHECK (expires_ms > 0),
    ended_ms INTEGER CHECK (ended_ms > 0), -- NULL: it goes on
    CHECK ((issuer = '') = (key_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_ms);

CREATE TABLE spent_refreshes (
    session_id BLOB NOT NULL REFERENCES sessions (id),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (session_id, hash)
) STRICT, WITHOUT ROWID;

-- Who somebody is that a provider names.
CREATE TABLE identities (
    issuer TEXT NOT NULL CHECK (issuer <> ''),
    subject TEXT NOT NULL CHECK (subject <> ''),
    user_id INTEGER NOT NULL REFERENCES users (id),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX identities_by_user ON identities (user_id);

-- Keys that sign the tokens, each sealed to its id.
CREATE TABLE session_keys (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    begins_ms INTEGER NOT NULL CHECK (begins_ms >= 0),
    sealed BLOB NOT NULL CHECK (length(sealed) BETWEEN 1 AND 1024)
) STRICT, WITHOUT ROWID;
