-- Few, and asked for again and again until somebody has decided them.

CREATE INDEX verifications_open ON inference_verifications (number) WHERE state = 'open';
