-- How many facts a vault has, so that the bound on them needn't count what is there.
ALTER TABLE vaults ADD COLUMN facts INTEGER NOT NULL DEFAULT 0 CHECK (facts >= 0);

UPDATE vaults SET facts = (SELECT count(*) FROM facts WHERE facts.user_id = vaults.user_id);
