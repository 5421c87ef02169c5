// Every single map write of random updates, and after each of them packets through the real programs: does the kernel let
// pass what neither the state before the update nor the one after it lets pass? Does it refuse what both let pass? And
// once with maps that are too small for half of it.
//
//   pods x, y of this node --- the node 10.0.0.1, fd00::1 --- prefixes within each other, and the world

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allFlows, type Fate, fateOf, fateText, idealFate, isWithin } from './fate.fixture.ts';
import { createKernelVerdicts, type KernelVerdicts } from './kernel-verdicts.fixture.ts';
import { random } from './random-tables.fixture.ts';
import { randomWorld, rowsOf, type World } from './random-world.fixture.ts';

const UPDATES = Number(process.env.UPDATES ?? 60);
const SEED = Number(process.env.SEED ?? 11);
const FLOWS = allFlows();

/** What was seen in one update. */
interface Update {
  readonly number: number;
  readonly worlds: readonly [World, World];
  /** Of each of FLOWS: before, after each write, after. */
  readonly old: readonly Fate[];
  readonly steps: readonly (readonly Fate[])[];
  readonly next: readonly Fate[];
  readonly complete: boolean;
}

/** Whether nobody meets a mix: each end stays who it is, or goes from an identity that ends to one that begins. */
function isSteady(was: Fate, will: Fate, [before, after]: readonly [World, World]): boolean {
  const begins = (id: number): boolean => id > 0xff_ffff && !before.prefixes.values().some((known) => known === id);
  const ends = (id: number): boolean => id > 0xff_ffff && !after.prefixes.values().some((known) => known === id);
  const moves = was.byPeer && will.byPeer;
  return was.ends.every((id, i) => id === will.ends[i] || (moves && ends(id) && begins(will.ends[i] ?? 0)));
}

async function* updates(kernel: KernelVerdicts): AsyncGenerator<Update> {
  const pick = random(SEED);
  const look = (): readonly Fate[] => FLOWS.map((flow) => fateOf(kernel.tryAsk(flow)));
  let world = randomWorld(pick);
  await kernel.tryLoad(rowsOf(world));
  for (let number = 0; number < UPDATES; number++) {
    const [old, last] = [look(), world];
    world = randomWorld(pick, world);
    const steps: (readonly Fate[])[] = [];
    kernel.onWrite = () => void steps.push(look());
    const { complete } = await kernel.tryLoad(rowsOf(world));
    kernel.onWrite = undefined;
    yield { number, worlds: [last, world], old, steps, next: look(), complete };
  }
}

function where({ number, steps, old, next, worlds }: Update, step: number, i: number): string {
  const says = [old[i], steps[step]?.[i], next[i]].map((fate) => fate && fateText(fate));
  const text = worlds.map(({ prefixes, pods, host }) => JSON.stringify([[...prefixes], pods, host]));
  return `update ${number} step ${step} of ${steps.length}: ${JSON.stringify(FLOWS[i])} before, now, after: ${says.join(' | ')}\n${text.join('\n')}`;
}

test('no map write lets pass what neither state does, or refuses what both let pass', async () => {
  using kernel = await createKernelVerdicts();
  const counts = { steps: 0, moved: 0, narrowed: 0 };
  for await (const update of updates(kernel)) {
    const { old, steps, next, worlds } = update;
    assert.ok(update.complete);
    for (const [i, will] of next.entries()) {
      const ideal = idealFate(worlds[1], FLOWS[i] as never);
      assert.equal(will.level, ideal.level, `not what the rows say: ${where(update, 0, i)}`);
      const was = old[i] as Fate;
      for (const [step, fates] of steps.entries()) {
        const is = fates[i] as Fate;
        assert.ok(isWithin(is, was) || isWithin(is, will), `wider: ${where(update, step, i)}`);
        const refused = is.level === 0 && was.level > 0 && will.level > 0 && is.ends.length > 0;
        assert.ok(!refused || !isSteady(was, will, worlds), `refused: ${where(update, step, i)}`);
        if (`${was.ends}` !== `${will.ends}` && `${is.ends}` === `${will.ends}`) counts.moved++;
        if (is.level < was.level) counts.narrowed++;
      }
    }
    counts.steps += steps.length;
  }
  assert.ok(counts.steps > 10 * UPDATES && counts.moved > UPDATES && counts.narrowed > UPDATES, JSON.stringify(counts));
});

test('nor does any with maps that are too small, and what is missing is said', async () => {
  using kernel = await createKernelVerdicts({ sizes: { policy: 60, identities: 11 } });
  const counts = { incomplete: 0, complete: 0, passing: 0 };
  for await (const update of updates(kernel)) {
    const { old, steps, next, worlds } = update;
    for (const i of FLOWS.keys()) {
      const [was, will] = [old[i] as Fate, idealFate(worlds[1], FLOWS[i] as never)];
      for (const [step, fates] of [...steps, next].entries()) {
        const is = fates[i] as Fate;
        assert.ok(isWithin(is, was) || isWithin(is, will), `wider than ${fateText(will)}: ${where(update, step, i)}`);
      }
      if (update.complete) assert.equal(next[i]?.level, will.level, `not what the rows say: ${where(update, 0, i)}`);
      if (!update.complete && (next[i]?.level ?? 0) > 0) counts.passing++;
    }
    const errors = kernel.sync.maps().filter(({ lastError }) => lastError !== '');
    assert.equal(errors.length > 0, !update.complete, JSON.stringify([errors, kernel.sync.pending()]));
    counts[update.complete ? 'complete' : 'incomplete']++;
  }
  const enough = counts.complete > UPDATES / 10 && counts.incomplete > UPDATES / 10 && counts.passing > 0;
  assert.ok(enough, JSON.stringify(counts));
});
