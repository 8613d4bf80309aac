// Prints private keys as JSON: make_keys.mjs RS256 ES256 EdDSA
import { exportJWK, generateKeyPair } from "jose";

const keys = [];
for (const algorithm of process.argv.slice(2)) {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  keys.push({ ...(await exportJWK(privateKey)), kid: `${algorithm}-${keys.length + 1}`, alg: algorithm, use: "sig" });
}
console.log(JSON.stringify(keys));
