-- The audit log: what its tree is over, the full tiles of its hashes, what it last signed, and the salts of persons.

CREATE TABLE audit_entries (
    place INTEGER PRIMARY KEY CHECK (place >= 0), -- 0, 1, 2 ...
    entry BLOB NOT NULL CHECK (length(entry) BETWEEN 1 AND 4096)
) STRICT;

CREATE TABLE audit_tiles (
    place INTEGER PRIMARY KEY CHECK (place >= 0), -- level * 2^48 + index
    hashes BLOB NOT NULL CHECK (length(hashes) = 8192)
) STRICT;

CREATE TABLE audit_checkpoint (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL CHECK (size > 0),
    note BLOB NOT NULL CHECK (length(note) BETWEEN 1 AND 65536)
) STRICT;

-- Deleted to have the log tell nothing of a person any more.
CREATE TABLE audit_salts (
    person TEXT PRIMARY KEY CHECK (length(person) BETWEEN 1 AND 64),
    salt BLOB NOT NULL CHECK (length(salt) = 16)
) STRICT, WITHOUT ROWID;
