-- Whether it is the provider that has shut the user out: then, and only then, it may let him in again.
ALTER TABLE identities ADD COLUMN inactive INTEGER NOT NULL DEFAULT 0 CHECK (inactive IN (0, 1));
