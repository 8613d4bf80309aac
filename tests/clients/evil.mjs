// An identity provider that does what it is told, right or wrong, for sso.py: evil.mjs PORT
// PUT /test {claims, algorithm, key, header, metadata, token_status}: what its tokens are from now on. POST /test/sign gives one.
import http from "node:http";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { exportJWK, SignJWT } from "jose";

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const keys = {
  RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: generateKeyPairSync("ed25519"),
};
const strange = generateKeyPairSync("rsa", { modulusLength: 2048 });
let told = {};
let seen = [];

const encode = (value) => Buffer.from(value).toString("base64url");

async function token() {
  const algorithm = told.algorithm ?? "RS256";
  const header = { alg: algorithm, kid: `${algorithm}-key`, typ: "JWT", ...told.header };
  const text = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(told.claims))}`;
  if (algorithm === "none") return `${text}.`;
  if (algorithm === "HS256") { // the public key taken for a shared secret
    const secret = keys.RS256.publicKey.export({ type: "spki", format: "pem" });
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
  }
  const key = told.strange_key ? strange.privateKey : keys[told.key ?? algorithm].privateKey;
  return new SignJWT(told.claims).setProtectedHeader(header).sign(key);
}

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

async function answer(request) {
  const metadata = {
    issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys`,
    authorization_response_iss_parameter_supported: true,
  };
  switch (request.url) {
  case "/.well-known/openid-configuration":
    return [200, { ...metadata, ...told.metadata }];
  case "/keys": {
    const published = [];
    for (const [algorithm, pair] of Object.entries(keys)) {
      published.push({ ...(await exportJWK(pair.publicKey)), kid: `${algorithm}-key`, use: "sig" });
    }
    published.push({ kty: "oct", k: "AAAA", kid: "HS256-key", alg: "HS256" });
    return [200, { keys: published }];
  }
  case "/token":
    seen.push({ body: await body(request), authorization: request.headers.authorization });
    return [told.token_status ?? 200, { id_token: await token(), access_token: "opaque", token_type: "Bearer" }];
  case "/test":
    told = JSON.parse(await body(request));
    return [200, {}];
  case "/test/sign":
    return [200, { token: await token() }];
  case "/test/seen":
    return [200, seen.splice(0)];
  default:
    return [404, {}];
  }
}

http.createServer(async (request, response) => {
  const [status, value] = await answer(request).catch((error) => [500, { error: String(error) }]);
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}).listen(port, "127.0.0.1");
