-- Shares of users' data keys, each sealed to the public key of an officer.
CREATE TABLE recovery_shares (
    user_id bigint NOT NULL REFERENCES vaults (user_id),
    officer text NOT NULL CHECK (length(officer) BETWEEN 1 AND 64),
    set_id bytea NOT NULL CHECK (length(set_id) = 16),
    needed bigint NOT NULL CHECK (needed BETWEEN 2 AND 16),
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    digest bytea NOT NULL CHECK (length(digest) = 32), -- of the share
    sealed bytea NOT NULL CHECK (length(sealed) BETWEEN 1 AND 512),
    PRIMARY KEY (user_id, officer)
);
ALTER TABLE recovery_shares ALTER COLUMN sealed SET STATISTICS 0; -- as in 0009
