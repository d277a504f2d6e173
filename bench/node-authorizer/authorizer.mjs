// The rules of the authorizer as a careful team writes them for Node.js: JWT in a cookie, Origin,
// and a CSRF value that is repeated in a subprotocol and signed for the token's session.

import { createHmac, timingSafeEqual } from "node:crypto";
import { JwtVerifier } from "aws-jwt-verify";

const { ISSUER, AUDIENCE, ORIGIN, KEYS, CSRF_SECRET } = process.env;
const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, graceSeconds: 5 });
verifier.cacheJwks(JSON.parse(KEYS));

export function handler(event) {
  const cookies = read(event, "cookie").flatMap((line) => line.split(";"));
  const token = cookie(cookies, "JWT");
  if (!token) throw new Error("Unauthorized");
  const origins = read(event, "origin");
  if (origins.length !== 1 || origins[0] !== ORIGIN) return answer(event, "Deny", "unknown");
  const csrf = cookie(cookies, "CSRF-TOKEN");
  const offered = read(event, "sec-websocket-protocol").flatMap((line) => line.split(","));
  const submitted = offered.map((entry) => entry.trim()).filter((e) => e.startsWith("csrf."));
  if (!csrf || submitted.length !== 1 || !isEqual(submitted[0].slice(5), csrf)) {
    return answer(event, "Deny", "unknown");
  }
  let claims;
  try {
    claims = verifier.verifySync(token);
  } catch {
    throw new Error("Unauthorized");
  }
  if (!claims.sub || !isSigned(csrf, claims.sid)) return answer(event, "Deny", "unknown");
  return answer(event, "Allow", claims.sub, {
    role: claims.role,
    tenant: claims.tenant,
    issuer: claims.iss,
    expiresAt: String(claims.exp),
    tokenSource: "cookie:JWT",
    csrf: "signed",
  });
}

function read(event, name) {
  const headers = Object.entries(event.multiValueHeaders ?? {});
  return headers.filter(([n]) => n.toLowerCase() === name).flatMap(([, values]) => values);
}

function cookie(pairs, name) {
  const start = `${name}=`;
  const found = pairs.map((pair) => pair.trim()).filter((pair) => pair.startsWith(start));
  if (1 < found.length) throw new Error("Unauthorized");
  return found[0]?.slice(start.length);
}

function isSigned(value, session) {
  const [mac, random] = value.split(".");
  if (!session || !/^([0-9a-f]{2}){16,64}$/.test(random ?? "")) return false;
  const message = `${Buffer.byteLength(session)}!${session}!${random.length}!${random}`;
  return isEqual(mac, createHmac("sha256", CSRF_SECRET).update(message).digest("hex"));
}

function isEqual(a, b) {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function answer(event, Effect, principalId, context) {
  const statement = { Action: "execute-api:Invoke", Effect, Resource: event.methodArn };
  const policyDocument = { Version: "2012-10-17", Statement: [statement] };
  return { principalId, policyDocument, ...(context && { context }) };
}
