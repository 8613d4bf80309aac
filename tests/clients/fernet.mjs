// npm's fernet, asked by records.py: {"key", "open": [tokens], "seal": [texts]} on the standard input.
import fernet from "fernet";
import { readFileSync } from "node:fs";

const { key, open, seal } = JSON.parse(readFileSync(0, "utf8"));
const secret = new fernet.Secret(key);
const opened = open.map((token) => new fernet.Token({ secret, token, ttl: 0 }).decode());
const sealed = seal.map((text) => new fernet.Token({ secret }).encode(text));
console.log(JSON.stringify({ opened, sealed }));
