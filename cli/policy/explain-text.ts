// An explanation for people.

import type { Party, PolicyReference, RequestRules, RuleReference, Side } from '#agent/explain/model.ts';
import { printable } from '#observe/flow/text.ts';
import type { ExplainReport } from './explain.ts';

/** Rules of the proxy that are listed; the rest is counted. */
const MAX_LISTED = 20;

/** The explanation as text: what was asked, the verdict, each direction with the rules that decide, what would help. */
export function renderExplanation(report: ExplainReport): string {
  const { from, to, egress, ingress, request, flow } = report;
  const port = report.protocol.startsWith('ICMP')
    ? `type ${report.port}/${report.protocol}`
    : `${report.port}/${report.protocol}`;
  const what = request ? `, ${request.method} ${request.path}${request.host && ` (host ${request.host})`}` : '';
  const lines = [
    `${partyText(from)} -> ${partyText(to)}, ${port}${what}`,
    ...[from, to].flatMap(({ note }) => (note === undefined ? [] : [`  (${note})`])),
    `Verdict: ${verdictText(report)}`,
    '',
    ...sideLines(egress, `egress of ${from.name}`),
    ...sideLines(ingress, `ingress of ${to.name}`),
  ];
  if (flow) lines.push('', ...flowLines(report));
  return `${lines.map((line) => printable(line)).join('\n')}\n`;
}

function partyText({ name, identity }: Party): string {
  return `${name} (ID:${identity})`;
}

function verdictText({ verdict, egress, ingress }: ExplainReport): string {
  const isDenying = (side: Side | undefined): boolean =>
    side !== undefined && !side.audited && (side.request?.verdict ?? side.verdict) === 'deny';
  const denying = [egress, ingress].filter(isDenying);
  switch (verdict) {
    case 'allow':
      return 'ALLOWED';
    case 'redirect':
      return 'ALLOWED, request by request (name one with --request)';
    case 'deny':
      return `DENIED at ${denying.map((side) => `${side?.direction} of ${side?.subject}`).join(' and ')}`;
  }
}

function sideLines(side: Side | undefined, title: string): string[] {
  if (side === undefined) return [`${title}: not decided here: no endpoint of this node`];
  const lines = [`${title}: ${side.text}${side.audited ? ' It passes all the same: audit mode.' : ''}`];
  lines.push(...referenceLines('by', side.rules));
  if (side.requests) lines.push(...requestLines(side.requests));
  if (side.request) {
    const { verdict, reason, rule, policies } = side.request;
    lines.push(`  request ${verdict === 'allow' ? 'allowed' : 'refused'}: ${reason}${rule ? `: ${rule}` : ''}`);
    lines.push(...referenceLines('of', policies));
  }
  if (side.change) {
    lines.push(`  ${side.change.text}`);
    lines.push(
      ...(side.change.yaml ?? '')
        .trimEnd()
        .split('\n')
        .filter(Boolean)
        .map((line) => `    ${line}`),
    );
  } else if (side.rules.length === 0 && side.selecting.length > 0) {
    lines.push(...referenceLines('selected by', side.selecting));
  }
  return lines;
}

function referenceLines(word: string, references: readonly (PolicyReference | RuleReference)[]): string[] {
  return references.map((reference) => {
    const { kind, namespace, name, file, line } = reference;
    const field = 'field' in reference ? ` ${reference.field}` : '';
    return `  ${word} ${kind} ${namespace === '' ? '' : `${namespace}/`}${name}  ${file}:${line}${field}`;
  });
}

function requestLines({ everything, parsers, allowed, refused }: RequestRules): string[] {
  const some = (texts: readonly string[]): string => {
    const left = texts.length - MAX_LISTED;
    return `${texts.slice(0, MAX_LISTED).join('; ')}${left > 0 ? `; ${left} more` : ''}`;
  };
  const lines = [
    everything ? '  every request passes, and is seen' : `  ${parsers.join(', ')} passes: ${some(allowed)}`,
  ];
  if (refused.length > 0) lines.push(`  refused in any case: ${some(refused)}`);
  return lines;
}

function flowLines({ flow, verdict }: ExplainReport): string[] {
  if (flow === undefined) return [];
  const names = (policies: typeof flow.allowedBy): string =>
    policies.map(({ kind, namespace, name }) => `${kind} ${namespace ? `${namespace}/` : ''}${name}`).join(', ');
  const lines = [`Recorded when it happened: ${flow.verdict} (${flow.summary})`];
  if (flow.allowedBy.length > 0) lines.push(`  allowed by ${names(flow.allowedBy)}`);
  if (flow.deniedBy.length > 0) lines.push(`  denied by ${names(flow.deniedBy)}`);
  const wasDenied = flow.verdict === 'DROPPED';
  if (wasDenied !== (verdict === 'deny')) lines.push('  Policy has changed since: above is what it says now.');
  return lines;
}
