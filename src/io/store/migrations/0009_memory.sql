-- What users keep, sealed under keys that only their tokens open. Where a row must be gone for good when it is
-- deleted, its beginning is zeros (0002 says why; with the other columns they fill more than 1002 bytes); turns
-- needn't, for the key that opens them lies in such a row.

CREATE TABLE vaults (
    user_id INTEGER NOT NULL PRIMARY KEY REFERENCES users (id),
    salt BLOB NOT NULL CHECK (length(salt) = 16),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0)
) STRICT, WITHOUT ROWID;

-- The user's data key, under each of the tokens that open it.
CREATE TABLE vault_wraps (
    user_id INTEGER NOT NULL REFERENCES vaults (user_id),
    key_id INTEGER NOT NULL REFERENCES keys (id),
    kind TEXT NOT NULL CHECK (length(kind) BETWEEN 1 AND 32),
    cost INTEGER NOT NULL CHECK (cost > 0),
    beginning BLOB NOT NULL DEFAULT (zeroblob(1000)) CHECK (length(beginning) = 1000),
    wrapped BLOB NOT NULL CHECK (length(wrapped) BETWEEN 1 AND 512),
    PRIMARY KEY (user_id, key_id)
) STRICT, WITHOUT ROWID;

-- Each turn changes its conversation's row, so that there is no index: lists sort what one user has, and whose time
-- is over is looked for in all of it.
CREATE TABLE conversations (
    user_id INTEGER NOT NULL REFERENCES vaults (user_id),
    id BLOB NOT NULL CHECK (length(id) = 16),
    latest INTEGER NOT NULL CHECK (latest > 0), -- its last turn's number
    turns INTEGER NOT NULL CHECK (turns > 0),
    bytes INTEGER NOT NULL CHECK (bytes > 0),   -- of its turns
    changed_ms INTEGER NOT NULL CHECK (changed_ms >= 0), -- 0: it was deleted, and its turns still go
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation_heads (
    user_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    beginning BLOB NOT NULL DEFAULT (zeroblob(1000)) CHECK (length(beginning) = 1000),
    sealed BLOB NOT NULL CHECK (length(sealed) BETWEEN 1 AND 4096),
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, id) REFERENCES conversations (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE turns (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    user_id INTEGER NOT NULL REFERENCES vaults (user_id),
    conversation BLOB NOT NULL CHECK (length(conversation) = 16),
    id BLOB NOT NULL CHECK (length(id) = 16), -- of the job that answered
    sealed BLOB NOT NULL CHECK (length(sealed) BETWEEN 1 AND 8388608)
) STRICT;

CREATE INDEX turns_by_conversation ON turns (user_id, conversation, number);
CREATE INDEX turns_by_user ON turns (user_id, number);

CREATE TABLE facts (
    user_id INTEGER NOT NULL REFERENCES vaults (user_id),
    id BLOB NOT NULL CHECK (length(id) = 16),
    changed_ms INTEGER NOT NULL CHECK (changed_ms >= 0),
    beginning BLOB NOT NULL DEFAULT (zeroblob(1000)) CHECK (length(beginning) = 1000),
    sealed BLOB NOT NULL CHECK (length(sealed) BETWEEN 1 AND 131072),
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX facts_by_change ON facts (changed_ms);
