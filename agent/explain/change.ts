// What would have to change for a flow that is refused.

import { stringify } from 'yaml';
import { type DraftParty, type DraftRule, draftPolicy, quotePattern } from './draft.ts';
import type { Change, HttpRequest, Party, PolicyReference, RuleReference, Side } from './model.ts';
import type { Port } from './port.ts';

/** A refusal of one side, with all that is known of it. */
export interface Refusal {
  readonly side: Pick<Side, 'direction' | 'reason' | 'rules' | 'selecting'>;
  readonly subject: Party;
  readonly peer: Party;
  readonly port: Port;
  /** The request that was refused; missing: the connection was. */
  readonly request?: HttpRequest;
  /** A deny rule refuses the request itself. */
  readonly refusedBy: readonly PolicyReference[];
}

/** What helps. The policy that it shows allows this flow and nothing else. */
export function changeFor(refusal: Refusal): Change {
  const { side, subject, peer, refusedBy } = refusal;
  if (side.reason === 'policy-deny' || refusedBy.length > 0) {
    const places = (side.reason === 'policy-deny' ? side.rules : refusedBy).map(formatReference);
    if (places.length === 0) return { text: 'The node itself refuses it: "weir status" says what it lacks.' };
    return { text: `A deny wins over every allow: narrow or remove ${places.join(' and ')}.` };
  }
  const { port, request } = refusal;
  const rule: DraftRule = {
    direction: side.direction,
    peer: draftParty(peer),
    port,
    http: request ? [{ method: request.method, path: quotePattern(request.path) }] : [],
  };
  const [from, to] = side.direction === 'ingress' ? [peer, subject] : [subject, peer];
  const name = `allow-${shortName(from)}-to-${shortName(to)}-${port.port}-${side.direction}`;
  const policy = draftPolicy(draftParty(subject), [rule], { name });
  const who = side.selecting.length === 0 ? 'No policy selects it, and the node denies by default' : selectors(side);
  const what = request ? 'request' : 'connection';
  if (policy === undefined) return { text: `${who}. No policy can name one of the two ends.` };
  return { text: `${who}. The smallest policy that would allow this ${what}:`, yaml: stringify(policy) };
}

function selectors({ selecting, direction }: Refusal['side']): string {
  const names = selecting.map(formatReference).join(', ');
  const one = selecting.length === 1;
  return `${names} ${one ? 'selects' : 'select'} it for ${direction}; no rule of ${one ? 'it' : 'them'} allows this`;
}

/** "CiliumNetworkPolicy default/a (a.yaml:3 spec.ingress[0])". */
export function formatReference(reference: PolicyReference | RuleReference): string {
  const { kind, namespace, name, file, line } = reference;
  const field = 'field' in reference && reference.field !== '' ? ` ${reference.field}` : '';
  const place = file === '' ? '' : ` (${file}:${line}${field})`;
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}${place}`.trimStart();
}

function draftParty({ labels, address, name }: Party): DraftParty {
  const names = name.startsWith('name:') ? [name.slice('name:'.length)] : [];
  return { labels, names, ...(address === undefined ? {} : { address }) };
}

// Without the suffixes that a Deployment gives its pods.
function shortName({ name, labels }: Party): string {
  const app = ['k8s:app.kubernetes.io/name=', 'k8s:app='].map((prefix) =>
    labels.find((label) => label.startsWith(prefix))?.slice(prefix.length),
  );
  return app.find((text) => text !== undefined) ?? name.replace(/^[^/]*\//, '').replace(/^(entity|name):/, '');
}
