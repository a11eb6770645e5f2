// A certified OpenID provider on loopback: node provider.mjs PORT KEY_ID
// Clients ask for tokens by client credentials; the resource they name becomes the audience.
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, kid] = [Number(process.argv[2]), process.argv[3]];
const issuer = `http://127.0.0.1:${port}`;
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const people = {
  alice: { groups: ['sales', 'staff'], department: 'emea' },
  bob: { groups: ['guests'], department: 'apac' },
  star: { groups: ['sales'], department: '*' },
};

const provider = new Provider(issuer, {
  clients: Object.keys(people).map((name) => ({
    client_id: name,
    client_secret: 'secret',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  })),
  jwks: { keys: [{ ...key, kid, use: 'sig', alg: 'RS256' }] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'nats',
        audience: resource.split(':').pop(),
        accessTokenTTL: resource.includes('short') ? 1 : 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims: (ctx, token) => people[token.clientId],
});
provider.listen(port, '127.0.0.1', () => console.log(`ready ${issuer}`));
