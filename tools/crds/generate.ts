// CustomResourceDefinitions of the cilium.io kinds, from their schemas.

import { stringify } from 'yaml';
import { KINDS } from '#mesh-config/read.ts';
import { openApiOf } from '#mesh-config/schema/openapi.ts';

const GROUP = 'cilium.io';

interface Names {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
}

const DEFINITIONS: readonly Names[] = [
  { kind: 'CiliumNetworkPolicy', plural: 'ciliumnetworkpolicies', shortNames: ['cnp', 'ciliumnp'] },
  { kind: 'CiliumClusterwideNetworkPolicy', plural: 'ciliumclusterwidenetworkpolicies', shortNames: ['ccnp'] },
  { kind: 'CiliumCIDRGroup', plural: 'ciliumcidrgroups', shortNames: ['ccg'] },
];

/** The files as they should be: path below the checkout -> text. */
export function generateCrds(): ReadonlyMap<string, string> {
  return new Map(DEFINITIONS.map((names) => [`mesh-config/crds/${names.plural}.yaml`, render(names)]));
}

/** A definition as an object. Of several versions the first that is read is the one that is stored. */
export function definitionOf({ kind, plural, shortNames }: Names) {
  const kinds = KINDS.filter((known) => known.kind === kind && known.apiVersion.startsWith(`${GROUP}/`));
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames },
      scope: kinds.some(({ namespaced }) => namespaced) ? 'Namespaced' : 'Cluster',
      versions: kinds.map(({ apiVersion, schema }, i) => ({
        name: apiVersion.slice(GROUP.length + 1),
        served: true,
        storage: i === 0,
        subresources: { status: {} },
        additionalPrinterColumns: [{ name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
        schema: { openAPIV3Schema: openApiOf(schema) },
      })),
    },
  };
}

function render(names: Names): string {
  const body = stringify(definitionOf(names), { aliasDuplicateObjects: false, lineWidth: 120 });
  return `# Generated from the schemas in mesh-config/kinds/ by \`./weir dev generate\`.\n${body}`;
}
