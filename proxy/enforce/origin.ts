// Where connected sockets come from and lead to. The code that enforces does not know: it asks this interface.

import type { Address } from '#common/ip.ts';

/** Who talks to whom on one client connection, and under which rules. */
export interface Origin {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  sourceIdentity: number;
  destinationIdentity: number;
  /** L7 ruleset of the source's egress policy; 0: that side asks for none. */
  egressRuleset: number;
  ingressRuleset: number;
  /** Policy forbids the connection as a whole. */
  denied: boolean;
  /** L3/L4 policy denies the connection, and audit mode lets it pass. */
  audited: boolean;
  /** Policy revision that all this was looked up under. */
  revision: number;
}

export interface SocketSource {
  /** Listening socket. */
  readonly listener: number;
  /** What is known of a connection that was accepted, or undefined: not ours, close it. `peer`: its peer's sockaddr. */
  identify(fd: number, peer: Buffer): Origin | undefined;
  /** Looks `origin` up again, in place. False: the connection is no longer known. */
  refresh(origin: Origin): boolean;
  /**
   * Is this workload in audit mode, by itself or with the node, at this moment? False also if it is not known at this
   * address. Costs a look into the kernel: for what would be denied only.
   */
  audits(address: Address, identity: number): boolean;
  /** Called before connections are dealt with in a turn of the loop: what follows is decided under the policy of this moment. */
  beginTurn(): void;
  /** The policy revision in force when the turn began. */
  revision(): number;
  /** A socket that connects to the server, non-blocking; a negative error number if there is none. */
  connect(origin: Origin): number;
}
