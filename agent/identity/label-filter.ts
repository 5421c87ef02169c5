// Which labels of a pod take part in its identity. Labels that only number or date pods would give each its own.

/** Whether a label that a user wrote on a pod counts, by its key. */
export type LabelFilter = (key: string) => boolean;

/** A prefix of keys, as it stands, and whether keys with it count. */
interface Prefix {
  readonly text: string;
  readonly counts: boolean;
}

const KEPT = ['app.kubernetes.io'];
const DROPPED = [
  'io.kubernetes',
  'kubernetes.io',
  'k8s.io',
  'topology.kubernetes.io',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'batch.kubernetes.io/job-completion-index',
  'batch.kubernetes.io/controller-uid',
  'pod-template-hash',
  'pod-template-generation',
  'controller-revision-hash',
  'controller-uid',
  'annotation',
  'etcd_node',
];
// Ours to set; a pod that could write them would choose its own namespace labels, cluster and service account.
const OWN = 'io.cilium.k8s';
const BETA = /^.*beta\.kubernetes\.io/;

/** The filter when nobody asks for another. */
export const defaultLabelFilter: LabelFilter = createLabelFilter([]);

/**
 * A filter from `words`: "prefix" counts, "!prefix" does not; a source "k8s:" in front is allowed. The longest prefix of a
 * key decides. A key that has none counts if all words are "!…"; with a plain word, only what is named counts. Words are
 * asked before the default ones, which hold as long as there is no plain word.
 */
export function createLabelFilter(words: readonly string[]): LabelFilter {
  const wanted = words.map(parseWord);
  const named = wanted.some((prefix) => prefix.counts);
  const builtIn = [
    ...KEPT.map((text) => ({ text, counts: true })),
    ...DROPPED.map((text) => ({ text, counts: false })),
  ];
  return (key) => {
    if (key.startsWith(OWN)) return false;
    const said = longest(wanted, key);
    if (said) return said.counts;
    if (named) return false;
    return longest(builtIn, key)?.counts ?? !BETA.test(key);
  };
}

function parseWord(word: string): Prefix {
  const bare = word.replace(/^(!?)k8s:/, '$1').replace(/^k8s:(!?)/, '$1');
  return bare.startsWith('!') ? { text: bare.slice(1), counts: false } : { text: bare, counts: true };
}

function longest(prefixes: readonly Prefix[], key: string): Prefix | undefined {
  let best: Prefix | undefined;
  for (const prefix of prefixes) {
    if (key.startsWith(prefix.text) && (!best || prefix.text.length > best.text.length)) best = prefix;
  }
  return best;
}
