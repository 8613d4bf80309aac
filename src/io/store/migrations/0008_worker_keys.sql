-- A machine whose key was exchanged has a row for each key it has had: the old one revoked, and named by the new.

ALTER TABLE workers ADD COLUMN former_id BLOB REFERENCES workers (id) CHECK (length(former_id) = 16); -- NULL: its first key
ALTER TABLE workers ADD COLUMN key_epoch INTEGER NOT NULL DEFAULT 0 CHECK (key_epoch >= 0);

CREATE UNIQUE INDEX workers_by_former ON workers (former_id) WHERE former_id IS NOT NULL;
