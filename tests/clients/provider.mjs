// A real identity provider (npm oidc-provider) for sso.py: provider.mjs CONFIG.json
// Whoever comes to log in is the person that was set last with PUT /test/person: there is no page to fill in. What the
// provider itself shows (device flow) and says (tokens, keys, logout tokens) is its own.
import http from "node:http";
import fs from "node:fs";
import Provider from "oidc-provider";

const config = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
let person = { id: "subject-1", name: "Anna", groups: ["staff"] };
const people = new Map();

const provider = new Provider(config.issuer, {
  clients: [{
    client_id: config.client_id,
    client_secret: config.client_secret,
    redirect_uris: [config.redirect_uri],
    response_types: ["code"],
    grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
    id_token_signed_response_alg: config.algorithm,
    backchannel_logout_uri: config.logout_uri,
    backchannel_logout_session_required: true,
  }],
  jwks: { keys: config.keys },
  cookies: { keys: ["test"] },
  scopes: ["openid", "profile", "groups"],
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  conformIdTokenClaims: config.claims_in_userinfo,
  features: {
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  pkce: { required: () => true },
  // Its own agent talks to nobody on loopback, where the pool is.
  fetch: (url, { dispatcher: _, signal: __, ...options }) => globalThis.fetch(url, options),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => people.has(id) && {
    accountId: id,
    claims: () => ({ sub: id, preferred_username: people.get(id).name, groups: people.get(id).groups }),
  },
  // Nobody is asked for consent: the company's own program asks.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid profile groups");
    await grant.save();
    return grant;
  },
});

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

const callback = provider.callback();
const server = http.createServer(async (request, response) => {
  try {
    if (request.url === "/test/person") {
      person = JSON.parse(await body(request));
      response.end("{}");
    } else if (request.url.startsWith("/interaction/")) {
      const { prompt, params, grantId } = await provider.interactionDetails(request, response);
      people.set(person.id, person);
      const result = { login: { accountId: person.id } };
      if (prompt.name === "consent") {
        const grant = (grantId && await provider.Grant.find(grantId)) ||
          new provider.Grant({ clientId: params.client_id, accountId: person.id });
        grant.addOIDCScope("openid profile groups");
        result.consent = { grantId: await grant.save() };
      }
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
    } else {
      await callback(request, response);
    }
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    response.end(String(error));
  }
});
provider.on("server_error", (_, error) => console.error(error));
provider.on("backchannel.error", (_, error) => console.error("backchannel", error));
server.listen(config.port, "127.0.0.1", () => console.log("listening"));
