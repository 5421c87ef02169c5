// Why a flow passes or not: both directions, the rules that decide, and what would have to change.

import { type Identity, identity, RESERVED } from '#common/ids.ts';
import { err, ok, type Result } from '#common/result.ts';
import { IP_PROTOCOL } from '../policy/l4.ts';
import { HOST_ENDPOINT } from '../tables.ts';
import { changeFor, formatReference } from './change.ts';
import type { Answer, Direction } from './lookup.ts';
import type { Explanation, HttpRequest, Party, Question, Side } from './model.ts';
import { resolveParty } from './party.ts';
import { type Port, type PortName, parsePort } from './port.ts';
import { answerRequest, describeRules } from './request.ts';
import type { World } from './world.ts';

/** One direction of what is asked, with its ends found. */
interface Asked {
  readonly direction: Direction;
  readonly subject: Party;
  readonly peer: Party;
  readonly port: Port;
  readonly request: HttpRequest | undefined;
}

/** Answers a question. The error says what of it makes no sense, as "… : …" to be put after "Cannot explain the flow: ". */
export function explain(question: Question, world: World): Result<Explanation, string> {
  const wanted = parsePort(question.port);
  if (!wanted.ok) return wanted;
  const protocol = IP_PROTOCOL[wanted.value.protocol];
  const number = 'port' in wanted.value ? wanted.value.port : 0;
  const from = resolveParty(question.from, world, { port: 0, protocol });
  if (!from.ok) return from;
  const to = resolveParty(question.to, world, { port: number, protocol });
  if (!to.ok) return to;
  const port = portOf(wanted.value, to.value.party, { world, behind: to.value.port });
  if (!port.ok) return port;
  if (question.request && port.value.protocol !== 'TCP') return err('an HTTP request needs a TCP port');
  const ends = { from: from.value.party, to: to.value.party };
  const asked = { port: port.value, request: question.request };
  const egress = explainSide({ ...asked, direction: 'egress', subject: ends.from, peer: ends.to }, world);
  const ingress = explainSide({ ...asked, direction: 'ingress', subject: ends.to, peer: ends.from }, world);
  return ok({
    ...ends,
    ...port.value,
    ...(question.request ? { request: question.request } : {}),
    verdict: together([egress, ingress], question.request !== undefined),
    ...(egress ? { egress } : {}),
    ...(ingress ? { ingress } : {}),
  });
}

function portOf(
  wanted: Port | PortName,
  to: Party,
  { world, behind }: { readonly world: World; readonly behind: number | undefined },
): Result<Port, string> {
  if ('port' in wanted) return ok({ ...wanted, port: behind ?? wanted.port });
  const ports = world.tables.desired.identities.get(String(to.identity))?.namedPorts ?? [];
  const prefix = `${wanted.protocol} ${wanted.name}=`;
  const found = ports.find((text) => text.startsWith(prefix));
  if (found) return ok({ protocol: wanted.protocol, port: Number(found.slice(prefix.length)) });
  const known = ports.length === 0 ? 'it names none' : `it names ${ports.join(', ')}`;
  return err(`${to.name} has no ${wanted.protocol} port called "${wanted.name}": ${known}`);
}

function together(sides: readonly (Side | undefined)[], hasRequest: boolean): Explanation['verdict'] {
  const verdicts = sides.map((side) => side && sideVerdict(side));
  if (verdicts.includes('deny')) return 'deny';
  return verdicts.includes('redirect') && !hasRequest ? 'redirect' : 'allow';
}

/** What a side lets happen to what was asked about: to the request if one was. */
export function sideVerdict({
  verdict,
  request,
  audited,
}: Pick<Side, 'verdict' | 'request' | 'audited'>): Side['verdict'] {
  return audited ? 'allow' : (request?.verdict ?? verdict);
}

function explainSide(asked: Asked, world: World): Side | undefined {
  const { direction, subject, peer, port, request } = asked;
  const isNodeItself = subject.kind === 'pod' && !isSubject(subject, world);
  const answer = isNodeItself
    ? undefined
    : world.answer({
        subject: identity(subject.identity),
        direction,
        peer: identity(peer.identity),
        l4: { protocol: IP_PROTOCOL[port.protocol], port: port.port, bits: 24 },
      });
  if (answer === undefined) return undefined;
  const ruleset = world.tables.desired.rulesets.get(String(answer.entry?.ruleset ?? ''));
  const requestAnswer = ruleset && request && answerRequest(request, ruleset, { peer: peer.identity, world });
  const base = {
    direction,
    subject: subject.name,
    peer: peer.name,
    verdict: answer.verdict,
    reason: answer.reason,
    text: textOf(answer, direction),
    rules: answer.cookies.flatMap((cookie) => world.rules(cookie)),
    selecting: world.selecting(identity(subject.identity), direction),
  };
  const audited = answer.verdict === 'deny' && world.audits(endpointOf(subject));
  const isRefused = answer.verdict === 'deny' || requestAnswer?.verdict === 'deny';
  const isDenied = requestAnswer?.reason.startsWith('a deny rule') === true;
  return {
    ...base,
    ...(audited ? { audited } : {}),
    ...(ruleset ? { requests: describeRules(ruleset, peer.identity) } : {}),
    ...(requestAnswer ? { request: requestAnswer } : {}),
    ...(isRefused
      ? {
          change: changeFor({
            side: base,
            subject,
            peer,
            port,
            ...(request ? { request } : {}),
            refusedBy: isDenied ? (requestAnswer?.policies ?? []) : [],
          }),
        }
      : {}),
  };
}

function endpointOf({ name, identity: number }: Party): string {
  return number === RESERVED.host ? HOST_ENDPOINT : name;
}

function isSubject({ identity: number }: Party, world: World): boolean {
  return [...world.tables.desired.enforcement.values()].some((row) => row.identity === (number as Identity));
}

function textOf({ verdict, reason, policies }: Answer, direction: Direction): string {
  switch (reason) {
    case 'no-policy':
      return `Allowed: no policy selects it for ${direction}.`;
    case 'policy-deny':
      return 'Denied by a deny rule.';
    case 'default-deny':
      return `Denied: its ${direction} is enforced, and no rule allows this.`;
    case 'policy': {
      const what = verdict === 'redirect' ? 'Allowed, request by request' : 'Allowed';
      return policies.length > 0 ? `${what}, by a rule.` : `${what}: built in.`;
    }
  }
}

export { formatReference };
