-- Proof of inference: checks of answers, what is thought of workers, and what follows from it.

ALTER TABLE keys ADD COLUMN verify_mode TEXT NOT NULL DEFAULT 'off'
    CHECK (verify_mode IN ('off', 'spot', 'every', 'proved', 'required'));
ALTER TABLE join_tokens ADD COLUMN referee INTEGER NOT NULL DEFAULT 0 CHECK (referee IN (0, 1));
ALTER TABLE workers ADD COLUMN referee INTEGER NOT NULL DEFAULT 0 CHECK (referee IN (0, 1));
ALTER TABLE workers ADD COLUMN machine BLOB CHECK (length(machine) = 32); -- NULL: not said yet

CREATE TABLE inference_verifications (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    job_id BLOB NOT NULL CHECK (length(job_id) = 16),
    user_id INTEGER NOT NULL REFERENCES users (id),
    worker_id BLOB NOT NULL REFERENCES workers (id),
    model TEXT NOT NULL CHECK (length(model) <= 256),
    mode TEXT NOT NULL CHECK (mode IN ('off', 'spot', 'every', 'proved', 'required')),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'disputed', 'judging', 'agreed', 'worker_wrong',
                                         'verifier_wrong', 'open', 'given_up')),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    decided_ms INTEGER CHECK (decided_ms > 0),
    recheck INTEGER NOT NULL CHECK (recheck IN (0, 1)),
    verifier_id BLOB REFERENCES workers (id),
    referee_id BLOB REFERENCES workers (id),
    independence TEXT NOT NULL CHECK (independence IN ('', 'none', 'weak', 'full')),
    position INTEGER CHECK (position >= 0), -- NULL: no token differs
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    referees INTEGER NOT NULL CHECK (referees >= 0),
    findings BLOB NOT NULL CHECK (length(findings) <= 65536),
    CHECK ((decided_ms IS NOT NULL) = (state IN ('agreed', 'worker_wrong', 'verifier_wrong', 'given_up')))
) STRICT;

CREATE INDEX verifications_undecided ON inference_verifications (number)
    WHERE state IN ('waiting', 'running', 'disputed', 'judging');
CREATE INDEX verifications_by_worker ON inference_verifications (worker_id);
CREATE INDEX verifications_by_job ON inference_verifications (job_id);
CREATE INDEX verifications_to_delete ON inference_verifications (created_ms) WHERE decided_ms IS NOT NULL OR state = 'open';

-- Apart, so that a change of state doesn't write a prompt anew. Sealed; deleted when it isn't needed any more, and
-- nothing of it is to stay in the file. SQLite clears the overflow pages of a deleted row (secure_delete), but a row's
-- beginning, up to (4096 - 12) * 64 / 255 - 23 = 1001 bytes, may have been moved between pages with a copy left behind.
-- So that beginning is zeros.
CREATE TABLE inference_payloads (
    number INTEGER NOT NULL PRIMARY KEY REFERENCES inference_verifications (number) ON DELETE CASCADE,
    beginning BLOB NOT NULL DEFAULT (zeroblob(1000)) CHECK (length(beginning) = 1000),
    payload BLOB NOT NULL CHECK (length(payload) BETWEEN 1 AND 8388608)
) STRICT, WITHOUT ROWID;

-- Answers that weren't drawn, kept for a re-check of their worker. Most answers are, so that a row costs little: it
-- comes last, leaves by its number, and there is no index. Which worker's a number is, is known in memory
-- (kept_rings.c), and read from here at the start. The zeros again put the payload on overflow pages.
CREATE TABLE kept_answers (
    number INTEGER NOT NULL PRIMARY KEY CHECK (number > 0),
    worker_id BLOB NOT NULL REFERENCES workers (id),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    id BLOB NOT NULL CHECK (length(id) = 16),
    job_id BLOB NOT NULL CHECK (length(job_id) = 16),
    user_id INTEGER NOT NULL REFERENCES users (id),
    model TEXT NOT NULL CHECK (length(model) <= 256),
    mode TEXT NOT NULL CHECK (mode IN ('off', 'spot', 'every', 'proved', 'required')),
    beginning BLOB NOT NULL DEFAULT (zeroblob(940)) CHECK (length(beginning) = 940),
    payload BLOB NOT NULL CHECK (length(payload) BETWEEN 1 AND 8388608)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker_reputation (
    worker_id BLOB NOT NULL PRIMARY KEY REFERENCES workers (id),
    state TEXT NOT NULL CHECK (state IN ('new', 'regular', 'alert', 'quarantined', 'convicted')),
    answers INTEGER NOT NULL CHECK (answers >= 0),
    checks INTEGER NOT NULL CHECK (checks >= 0),
    agreed INTEGER NOT NULL CHECK (agreed >= 0),
    mismatches INTEGER NOT NULL CHECK (mismatches >= 0),
    evasions INTEGER NOT NULL CHECK (evasions >= 0),
    consecutive INTEGER NOT NULL CHECK (consecutive >= 0),
    passed INTEGER NOT NULL CHECK (passed >= 0),
    evasions_in_row INTEGER NOT NULL CHECK (evasions_in_row >= 0),
    alert_left INTEGER NOT NULL CHECK (alert_left >= 0),
    disputes INTEGER NOT NULL CHECK (disputes >= 0),
    held INTEGER NOT NULL CHECK (held IN (0, 1)),
    cusum REAL NOT NULL,
    alpha REAL NOT NULL,
    beta REAL NOT NULL,
    changed_ms INTEGER NOT NULL CHECK (changed_ms >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE blacklist (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    kind TEXT NOT NULL CHECK (kind IN ('worker', 'owner', 'machine')),
    value TEXT NOT NULL CHECK (length(value) BETWEEN 1 AND 64),
    reason TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 256),
    created_by INTEGER REFERENCES users (id), -- NULL: the pool itself
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    cleared_by INTEGER REFERENCES users (id),
    cleared_ms INTEGER CHECK (cleared_ms > 0), -- NULL: it counts
    CHECK ((cleared_by IS NULL) = (cleared_ms IS NULL))
) STRICT;

CREATE UNIQUE INDEX blacklist_that_counts ON blacklist (kind, value) WHERE cleared_ms IS NULL;

CREATE TABLE evidence (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    worker_id BLOB NOT NULL REFERENCES workers (id),
    job_id BLOB NOT NULL CHECK (length(job_id) = 16),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    bundle TEXT NOT NULL CHECK (length(bundle) BETWEEN 1 AND 1048576)
) STRICT;

CREATE INDEX evidence_by_worker ON evidence (worker_id);

CREATE TABLE notices (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    user_id INTEGER NOT NULL REFERENCES users (id),
    job_id BLOB NOT NULL UNIQUE CHECK (length(job_id) = 16),
    worker_id BLOB NOT NULL REFERENCES workers (id),
    text TEXT NOT NULL CHECK (length(text) BETWEEN 1 AND 512),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    told_ms INTEGER CHECK (told_ms > 0) -- NULL: not yet
) STRICT;

CREATE INDEX notices_untold ON notices (id) WHERE told_ms IS NULL;
CREATE INDEX notices_by_worker ON notices (worker_id);
CREATE INDEX notices_by_date ON notices (created_ms);

CREATE TABLE honeytokens (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    marker TEXT NOT NULL UNIQUE CHECK (length(marker) BETWEEN 1 AND 64 AND marker NOT GLOB '*[^a-z0-9-]*'),
    worker_id BLOB NOT NULL REFERENCES workers (id),
    job_id BLOB NOT NULL CHECK (length(job_id) = 16),
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),
    seen_ms INTEGER CHECK (seen_ms > 0), -- NULL: nowhere
    seen_where TEXT NOT NULL DEFAULT '' CHECK (length(seen_where) <= 256)
) STRICT;

CREATE INDEX honeytokens_seen ON honeytokens (id) WHERE seen_ms IS NOT NULL;
CREATE INDEX honeytokens_unseen ON honeytokens (created_ms) WHERE seen_ms IS NULL;
