-- What one person asks for and another approves, exactly as it was written; and machines that are suspected.

CREATE TABLE approvals (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    kind TEXT NOT NULL CHECK (length(kind) BETWEEN 1 AND 32),
    request BLOB NOT NULL CHECK (length(request) BETWEEN 1 AND 4096),
    request_hash BLOB NOT NULL CHECK (length(request_hash) = 32),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'refused', 'used')),
    requested_by INTEGER NOT NULL REFERENCES users (id),
    requested_ms INTEGER NOT NULL CHECK (requested_ms >= 0),
    expires_ms INTEGER NOT NULL CHECK (expires_ms > 0),
    decided_by INTEGER REFERENCES users (id),
    decided_ms INTEGER CHECK (decided_ms > 0),
    used_ms INTEGER CHECK (used_ms > 0),
    CHECK ((decided_by IS NULL) = (state = 'waiting') AND (decided_ms IS NULL) = (state = 'waiting')),
    CHECK ((used_ms IS NOT NULL) = (state = 'used')),
    CHECK (state NOT IN ('approved', 'used') OR decided_by <> requested_by)
) STRICT;

CREATE INDEX approvals_waiting ON approvals (id) WHERE state = 'waiting';
CREATE INDEX approvals_by_requester ON approvals (requested_by);

ALTER TABLE join_tokens ADD COLUMN approval INTEGER REFERENCES approvals (id); -- NULL: nobody else was asked
ALTER TABLE join_tokens ADD COLUMN approved_by INTEGER REFERENCES users (id);  -- NULL: who made it
ALTER TABLE join_tokens ADD COLUMN class TEXT NOT NULL DEFAULT '' CHECK (class IN ('', 'cpu', 'gpu', 'npu')); -- '': any
ALTER TABLE join_tokens ADD COLUMN contractor INTEGER NOT NULL DEFAULT 0 CHECK (contractor IN (0, 1));
ALTER TABLE workers ADD COLUMN approval INTEGER REFERENCES approvals (id);     -- NULL: nobody else was asked
ALTER TABLE workers ADD COLUMN contractor INTEGER NOT NULL DEFAULT 0 CHECK (contractor IN (0, 1));
ALTER TABLE workers ADD COLUMN suspected_ms INTEGER CHECK (suspected_ms > 0); -- NULL: its key is its own machine's
