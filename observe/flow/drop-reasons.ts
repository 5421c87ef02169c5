// Texts of drop reasons for those who read flows: the CLI, which knows nothing of the kernel programs. A test compares
// them with the programs' own list, bpf/lib/drop.h.

/** number -> the text that flows, metrics and the CLI show. */
export const DROP_TEXTS: Readonly<Record<number, string>> = {
  130: 'Invalid source mac',
  131: 'Invalid destination mac',
  132: 'Invalid source ip',
  133: 'Policy denied',
  134: 'Invalid packet',
  135: 'CT: Truncated or invalid header',
  137: 'CT: Unknown L4 protocol',
  139: 'Unsupported L3 protocol',
  151: 'Stale or unroutable IP',
  155: 'CT: Map insertion failed',
  156: 'Invalid IPv6 extension header',
  174: 'Is a ClusterIP',
  175: 'First logical datagram fragment not found',
  176: 'Forbidden ICMPv6 message',
  179: 'Socket assign failed',
  180: 'Proxy redirection not supported for protocol',
  181: 'Policy denied by denylist',
  182: 'VLAN traffic disallowed by VLAN filter',
  203: 'Endpoint policy program not available',
  220: 'No proxy listener',
  221: 'Invalid ARP sender',
  222: 'Invalid neighbor discovery sender',
  223: 'IPv4 options refused',
  224: 'Fragment overlaps transport header',
  225: 'No steered connection',
  226: 'Connection reset to enter proxy',
  227: 'Proxy not reachable from here',
  228: 'CT: Unknown connection',
};

/** Text of drop reason `reason`; `name` is its name in flow.DropReason if the sender gave one. */
export function dropReasonText(reason: number, name?: string | number): string {
  const known = DROP_TEXTS[reason];
  if (known !== undefined) return known;
  if (typeof name !== 'string' || name === '') return `Drop reason ${reason}`;
  const words = name.toLowerCase().replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Names of these reasons in flow.DropReason; several reasons may share one. */
export const DROP_NAMES: readonly string[] = [
  'INVALID_SOURCE_MAC',
  'INVALID_DESTINATION_MAC',
  'INVALID_SOURCE_IP',
  'POLICY_DENIED',
  'INVALID_PACKET_DROPPED',
  'CT_TRUNCATED_OR_INVALID_HEADER',
  'CT_UNKNOWN_L4_PROTOCOL',
  'UNSUPPORTED_L3_PROTOCOL',
  'STALE_OR_UNROUTABLE_IP',
  'CT_MAP_INSERTION_FAILED',
  'INVALID_IPV6_EXTENSION_HEADER',
  'IS_A_CLUSTERIP',
  'FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND',
  'FORBIDDEN_ICMPV6_MESSAGE',
  'SOCKET_ASSIGN_FAILED',
  'PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL',
  'POLICY_DENY',
  'VLAN_FILTERED',
  'DROP_EP_NOT_READY',
  'SOCKET_LOOKUP_FAILED',
  'CT_CANNOT_CREATE_ENTRY_FROM_PACKET',
];
