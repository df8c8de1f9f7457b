import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AddedImage } from '@drayage/registry/testing';
import { CASES, type Case, judge, SETTINGS, type Setting } from './access-cases.ts';
import { ORIGIN, startWorld, type World } from './access-world.ts';
import { type Figures, type Proof, seeded } from './proof.ts';

const SEED = 20_261_125;
/** Every so many of the cases are tried in the short form. */
const SHORT_SHARE = 16;
const AT_ONCE = 256;
/** The clock goes on by this much with each request, so that the budget on questions is not what is tried here. */
const STEP_MS = 25;
const MINUTE_MS = 60_000;
const PULLS = 10_000;
const READERS = 20;

/** A private image is given to whom its origin lets in, and to nobody else, whatever is held, shown and answered. */
export const access: Proof = {
  name: 'access',
  title: 'who may read what: a matrix of credentials, places and outages, by an oracle of its own',
  needs: [],
  run: async (folder, short) => {
    const found: Found = { cases: 0, unauthorised: [], withheld: [], broken: [], given: 0 };
    const random = seeded(SEED);
    for (const [at, setting] of SETTINGS.entries()) {
      const chosen = short ? CASES.filter(() => random() * SHORT_SHARE < 1) : CASES;
      await tryAll(join(folder, `world-${at}`), { setting, cases: chosen }, found);
    }
    const told = JSON.stringify({
      ...found,
      unauthorised: found.unauthorised.slice(0, 5),
      withheld: found.withheld.slice(0, 5),
    });
    assert.equal(found.unauthorised.length + found.withheld.length + found.broken.length, 0, told);
    assert.ok(found.given > found.cases / 20, `enough is given for the rest to mean something: ${told}`);
    const figures: Figures = {
      cases: found.cases,
      given: found.given,
      unauthorised: found.unauthorised.length,
      withheld: found.withheld.length,
      seed: SEED,
      ...(await manyPulls(join(folder, 'pulls'), short ? PULLS / 10 : PULLS)),
      ...(await revocations(join(folder, 'revoked'))),
    };
    return figures;
  },
};

interface Found {
  cases: number;
  given: number;
  readonly unauthorised: string[];
  readonly withheld: string[];
  readonly broken: string[];
}

/** A case with all that belongs to it. */
interface Actor {
  readonly test: Case;
  readonly repository: string;
  readonly canary: string;
  readonly image: AddedImage;
  readonly authorization: string | undefined;
}

async function tryAll(
  folder: string,
  { setting, cases }: { readonly setting: Setting; readonly cases: readonly Case[] },
  found: Found,
): Promise<void> {
  {
    await using world = await startWorld(folder, setting.scheme);
    const { registry, clock } = world;
    const actors = cases.map((test) => prepare(world, setting, test));
    await each(actors, (actor) => seed(world, setting, actor));
    clock.now += setting.history === 'stale' ? 20 * MINUTE_MS : MINUTE_MS;
    for (const { test, repository } of actors) {
      if (test.credential === 'revoked') revoke(world, repository);
      if (test.credential === 'expired') registry.passwords.set(userOf(test), 'changed');
    }
    registry.fault = setting.fault;
    await each(actors, (actor) => attempt(world, setting, actor, found));
  }
  rmSync(folder, { recursive: true });
}

const userOf = ({ id, user }: Case) => `${user}-${id}`;

function prepare({ registry, add }: World, { scheme }: Setting, test: Case): Actor {
  const { id, owner, credential } = test;
  const repository = `team-${id}/app`;
  const canary = `canary-${id}-${scheme}`;
  const user = userOf(test);
  const owned = owner === 'everyone' ? '*' : `${owner}-${id}`;
  registry.passwords.set(user, `password-${id}`);
  registry.passwords.set('seeder', 'seeder');
  for (const right of [`${owned} ${repository}`, `seeder ${repository}`, `other-${id} team-${id}/other`]) {
    registry.rights.add(right);
  }
  registry.passwords.set(`other-${id}`, 'other');
  const bearer = (token: string) => `Bearer ${token}`;
  const shown: Readonly<Record<Case['credential'], () => string | undefined>> = {
    valid: () => (scheme === 'basic' ? registry.basicFor(user) : bearer(registry.tokenFor(user, repository))),
    revoked: () => (scheme === 'basic' ? registry.basicFor(user) : bearer(registry.tokenFor(user, repository))),
    expired: () => (scheme === 'basic' ? registry.basicFor(user) : bearer(registry.tokenFor(user, repository, 50))),
    elsewhere: () =>
      scheme === 'basic'
        ? registry.basicFor(`other-${id}`)
        : bearer(registry.tokenFor(`other-${id}`, `team-${id}/other`)),
    none: () => undefined,
    garbage: () => (scheme === 'basic' ? `Basic ${btoa(`garbage:${id}`)}` : bearer(`garbage-${id}`)),
  };
  return { test, repository, canary, image: add(repository, canary), authorization: shown[credential]() };
}

/** Brings the image to where the case has it, and shows the credential a first time if the case says so. */
async function seed(world: World, { history, scheme }: Setting, actor: Actor): Promise<void> {
  const { test, repository, image, authorization } = actor;
  const { place } = test;
  const { registry, peer } = world;
  if (place === 'here') {
    const seeder =
      scheme === 'basic' ? registry.basicFor('seeder') : `Bearer ${registry.tokenFor('seeder', repository)}`;
    for (const what of [`manifests/${image.digest}`, `blobs/${image.layer}`]) {
      const { status } = await send(world, { ...actor, authorization: seeder }, what);
      assert.equal(status, 200, 'the image is brought here');
    }
  }
  if (place === 'peer') {
    peer.set(image.digest, image.bytes);
    peer.set(image.layer, image.layerBytes);
  }
  const isShown = history !== 'unknown' && authorization !== undefined && test.credential !== 'garbage';
  if (isShown) await send(world, actor, `manifests/${image.digest}`, place === 'cold' ? { method: 'HEAD' } : {});
}

async function attempt(world: World, setting: Setting, actor: Actor, found: Found): Promise<void> {
  const { test, image, canary } = actor;
  const isLayer = test.what === 'blob' || test.what === 'range' || (test.what === 'HEAD' && test.id % 2 === 0);
  const digestPath = isLayer ? `blobs/${image.layer}` : `manifests/${image.digest}`;
  const paths = { tags: 'tags/list', referrers: `referrers/${image.digest}` } as const;
  const path = test.what === 'tags' || test.what === 'referrers' ? paths[test.what] : digestPath;
  const init = {
    method: test.what === 'HEAD' ? 'HEAD' : 'GET',
    ...(test.what === 'range' && { headers: { range: 'bytes=6-' } }),
  };
  const { status, body } = await send(world, actor, path, init);
  const { mayGive, mustGive } = judge(setting, test);
  const isGiven = status < 300;
  const label = `${JSON.stringify({ ...setting, ...test })}: ${status}`;
  found.cases += 1;
  if (isGiven) found.given += 1;
  if ((isGiven || body.includes(canary)) && !mayGive) found.unauthorised.push(label);
  if (!isGiven && mustGive) found.withheld.push(label);
  if (!isGiven && ![401, 403, 404].includes(status)) found.broken.push(label);
  if (isGiven && !isRight(test, image, body)) found.broken.push(`${label} with the wrong bytes`);
}

function isRight({ what }: Case, image: AddedImage, body: Buffer): boolean {
  if (what === 'manifest') return body.equals(image.bytes);
  if (what === 'blob') return body.equals(image.layerBytes);
  if (what === 'range') return body.equals(image.layerBytes.subarray(6));
  return what === 'HEAD' ? body.length === 0 : body.length > 0;
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

type Sender = Pick<Actor, 'repository' | 'authorization'> & { readonly test?: Pick<Case, 'door'> };

async function send({ base, clock }: World, sender: Sender, what: string, init: RequestInit = {}): Promise<Answer> {
  clock.now += STEP_MS;
  const { repository, authorization, test: { door } = { door: 'ns' } } = sender;
  const prefix = door === 'path' ? `${ORIGIN}/` : '';
  const query = door === 'ns' ? `?ns=${ORIGIN}` : '';
  const headers = {
    ...(init.headers as Record<string, string>),
    ...(authorization !== undefined && { authorization }),
  };
  const answer = await fetch(`${base}/v2/${prefix}${repository}/${what}${query}`, { ...init, headers });
  return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
}

function revoke({ registry: { rights } }: World, repository: string): void {
  for (const right of [...rights]) if (right.endsWith(` ${repository}`)) rights.delete(right);
}

async function each<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const left = [...all];
  const worker = async () => {
    for (let one = left.pop(); one !== undefined; one = left.pop()) await work(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** However many pull, the origin is asked once for each credential and repository. */
async function manyPulls(folder: string, pulls: number): Promise<Figures> {
  await using world = await startWorld(folder, 'bearer');
  const { registry, add } = world;
  const readers = Array.from({ length: READERS }, (_, at) => {
    const repository = `team-${at % 4}/app`;
    registry.rights.add(`reader-${at} ${repository}`);
    registry.passwords.set(`reader-${at}`, 'x');
    return {
      repository,
      authorization: `Bearer ${registry.tokenFor(`reader-${at}`, repository)}`,
      image: add(repository, `canary-${at % 4}`),
    };
  });
  const turns = Array.from({ length: pulls }, (_, at) => readers[at % READERS]).filter(
    (reader) => reader !== undefined,
  );
  await each(turns, async (reader) => {
    for (const what of [`manifests/${reader.image.digest}`, `blobs/${reader.image.layer}`]) {
      assert.equal((await send(world, reader, what)).status, 200);
    }
  });
  const checks = new Map<string, number>();
  for (const { method, url, headers } of registry.seen) {
    if (method !== 'HEAD') continue;
    const key = `${headers.authorization} ${url.split('/').slice(2, 4).join('/')}`;
    checks.set(key, (checks.get(key) ?? 0) + 1);
  }
  const checksMax = Math.max(...checks.values());
  assert.equal(checksMax, 1, 'one check for each credential and repository');
  return { pulls, credentials: READERS, checksPerCredentialMax: checksMax };
}

/** How long a right that was taken away can still be used, and one that was proven before an outage. */
async function revocations(folder: string): Promise<Figures> {
  await using world = await startWorld(folder, 'bearer');
  const { registry, clock, add } = world;
  const random = seeded(SEED);
  let revokedAfterMs = 0;
  for (let at = 0; at < 20; at += 1) {
    const repository = `team-${at}/app`;
    registry.rights.add(`alice ${repository}`);
    const image = add(repository, `canary-${at}`);
    const reader = { repository, authorization: `Bearer ${registry.tokenFor('alice', repository)}` };
    const status = async () => (await send(world, reader, `blobs/${image.layer}`)).status;
    assert.equal(await status(), 200);
    clock.now += random() * 14 * MINUTE_MS;
    revoke(world, repository);
    const from = clock.now;
    while ((await status()) === 200) clock.now += 5_000;
    revokedAfterMs = Math.max(revokedAfterMs, clock.now - from);
  }
  assert.ok(revokedAfterMs <= 15 * MINUTE_MS, `a right that was taken away could be used ${revokedAfterMs} ms longer`);

  registry.rights.add('alice team/kept');
  const image = add('team/kept', 'canary-kept');
  const reader = { repository: 'team/kept', authorization: `Bearer ${registry.tokenFor('alice', 'team/kept')}` };
  const status = async () => (await send(world, reader, `blobs/${image.layer}`)).status;
  assert.equal(await status(), 200);
  registry.fault = 503;
  const from = clock.now;
  while ((await status()) === 200) clock.now += 30 * MINUTE_MS;
  const survivedHours = (clock.now - from) / (60 * MINUTE_MS);
  assert.ok(
    survivedHours > 23.5 && survivedHours < 24.5,
    `a proof survives an outage of a day, not ${survivedHours} hours`,
  );
  return {
    revokedAfterSecondsMax: Math.round(revokedAfterMs / 1000),
    outageSurvivedHours: Number(survivedHours.toFixed(1)),
  };
}
