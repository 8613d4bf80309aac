-- Users make further keys of their own: with which one.
ALTER TABLE keys ADD COLUMN made_with INTEGER REFERENCES keys (id); -- NULL: an admin made it, or a login
CREATE INDEX keys_by_maker ON keys (made_with) WHERE made_with IS NOT NULL;
