-- Shares of users' data keys, each sealed to the public key of an officer. Erasing a vault or leaving an officer out
-- must leave nothing of a share: see 0009 for the beginning.
CREATE TABLE recovery_shares (
    user_id INTEGER NOT NULL REFERENCES vaults (user_id),
    officer TEXT NOT NULL CHECK (length(officer) BETWEEN 1 AND 64),
    set_id BLOB NOT NULL CHECK (length(set_id) = 16),
    needed INTEGER NOT NULL CHECK (needed BETWEEN 2 AND 16),
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    beginning BLOB NOT NULL DEFAULT (zeroblob(1000)) CHECK (length(beginning) = 1000),
    digest BLOB NOT NULL CHECK (length(digest) = 32), -- of the share
    sealed BLOB NOT NULL CHECK (length(sealed) BETWEEN 1 AND 512),
    PRIMARY KEY (user_id, officer)
) STRICT, WITHOUT ROWID;
