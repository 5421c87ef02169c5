// The star-wars scene as data: which policy is in force, who asks for what, and what must come of it.

/** What must come of a request. A hang is a connection that gets no answer: curl ends with 28. */
export type Outcome =
  | { readonly kind: 'answer'; readonly body: string }
  | { readonly kind: 'denied' } // 403, "Access denied"
  | { readonly kind: 'hangs' };

export interface DemoRequest {
  readonly from: 'tiefighter' | 'xwing';
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly expected: Outcome;
}

export interface DemoStep {
  readonly name: string;
  readonly about: string;
  /** File below policies/; undefined: no policy. */
  readonly policy: string | undefined;
  /** Whether the ingress of the station is under policy in this step. */
  readonly isEnforced: boolean;
  /** Whether the proxy sees the requests of the empire, so that they make spans. */
  readonly isTraced: boolean;
  readonly requests: readonly DemoRequest[];
}

const LANDED: Outcome = { kind: 'answer', body: 'Ship landed' };
const EXPLODED: Outcome = { kind: 'answer', body: 'Panic: deathstar exploded' };
const DENIED: Outcome = { kind: 'denied' };
const HANGS: Outcome = { kind: 'hangs' };

const LANDING = '/v1/request-landing';
const EXHAUST = '/v1/exhaust-port';

const EVERYONE_LANDS: readonly DemoRequest[] = [
  { from: 'xwing', method: 'POST', path: LANDING, expected: LANDED },
  { from: 'tiefighter', method: 'POST', path: LANDING, expected: LANDED },
];

export const SCENE: readonly DemoStep[] = [
  {
    name: 'H0',
    about: 'no policy: everyone may do everything',
    policy: undefined,
    isEnforced: false,
    isTraced: false,
    requests: EVERYONE_LANDS,
  },
  {
    name: 'H1',
    about: 'L3/L4 policy: only the empire reaches port 80, and may ask for anything there',
    policy: 'l3-l4.yaml',
    isEnforced: true,
    isTraced: false,
    requests: [
      { from: 'tiefighter', method: 'POST', path: LANDING, expected: LANDED },
      { from: 'xwing', method: 'POST', path: LANDING, expected: HANGS },
      { from: 'tiefighter', method: 'PUT', path: EXHAUST, expected: EXPLODED },
    ],
  },
  {
    name: 'H2',
    about: 'L7 policy: the empire may land and nothing else',
    policy: 'l7.yaml',
    isEnforced: true,
    isTraced: true,
    requests: [
      { from: 'tiefighter', method: 'POST', path: LANDING, expected: LANDED },
      { from: 'tiefighter', method: 'PUT', path: EXHAUST, expected: DENIED },
      { from: 'xwing', method: 'POST', path: LANDING, expected: HANGS },
    ],
  },
  {
    name: 'H2+',
    about: 'a path is matched in full',
    policy: 'l7.yaml',
    isEnforced: true,
    isTraced: true,
    requests: [
      { from: 'tiefighter', method: 'GET', path: '/v1/', expected: DENIED },
      { from: 'tiefighter', method: 'POST', path: `${LANDING}/`, expected: DENIED },
      { from: 'tiefighter', method: 'POST', path: `${LANDING}?x=1`, expected: DENIED },
    ],
  },
  {
    name: 'clean',
    about: 'policy removed: as in the beginning',
    policy: undefined,
    isEnforced: false,
    isTraced: false,
    requests: EVERYONE_LANDS,
  },
];

/** An outcome in a few words. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'answer':
      return `200 ${outcome.body}`;
    case 'denied':
      return '403 Access denied';
    case 'hangs':
      return 'hangs';
  }
}
