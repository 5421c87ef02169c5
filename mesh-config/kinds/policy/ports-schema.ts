// toPorts and icmps, as Cilium policies write them.

import { z } from 'zod';
import { misplaced, notesFor, objectOf, unsupported } from '../../schema/fields.ts';
import { ICMP_TYPE_NAMES } from './icmp.ts';
import { nameSelector } from './peer-schema.ts';

/** Ports of one entry of toPorts, and fields of one entry of icmps. */
const MAX_PORTS = 40;
/** Characters of one regular expression. */
const MAX_PATTERN = 4096;
const MAX_NAME = 255;

/** Numbers of IP protocols besides those with ports: known, and refused by name. */
export const EXTENDED_PROTOCOLS = ['VRRP', 'IGMP', 'GRE', 'IPIP', 'IPV6', 'ESP', 'AH'] as const;
const PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'ANY', ...EXTENDED_PROTOCOLS] as const;

const pattern = z.string().max(MAX_PATTERN, `is longer than ${MAX_PATTERN} characters`);

const headerMatch = objectOf(
  {
    name: z.string().min(1, 'must not be empty').describe('Name of the header.'),
    value: z.string().optional().describe('What it must be; absent: any value.'),
    mismatch: z
      .enum(['LOG', 'ADD', 'DELETE', 'REPLACE'])
      .optional()
      .describe('What happens if it is not; absent: the rule does not match.'),
  },
  { notes: { secret: unsupported({ why: 'write the value' }) }, nulls: 'refused' },
);

const httpRule = objectOf(
  {
    method: pattern.optional().describe('Regular expression for the method.'),
    path: pattern.optional().describe('Regular expression for the path with the query.'),
    host: pattern.optional().describe('Regular expression for the host.'),
    headers: z.array(z.string()).optional().describe('"Name" must be there, "Name: value" must have this value.'),
    headerMatches: z.array(headerMatch).optional().describe('Headers, with what happens on a mismatch.'),
  },
  { nulls: 'refused' },
);
export type WrittenHttpRule = z.infer<typeof httpRule>;

const kafkaRule = objectOf(
  {
    role: z.enum(['produce', 'consume']).optional().describe('"produce" or "consume": all keys that this takes.'),
    apiKey: z.string().optional().describe('Name of a request, like "fetch".'),
    apiVersion: z.string().optional().describe('A version, like "2"; absent: any.'),
    clientID: z.string().optional().describe('Client identifier; absent: any.'),
    topic: z.string().max(MAX_NAME, `is longer than ${MAX_NAME} characters`).optional().describe('Topic; absent: any.'),
  },
  { nulls: 'refused' },
);
export type WrittenKafkaRule = z.infer<typeof kafkaRule>;

const port = objectOf(
  {
    port: z
      .string()
      .max(63, 'is longer than 63 characters')
      .regex(/^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$/, 'is no port: write a number from 0 (every port) to 65535, or a name')
      .optional()
      .describe('A number, 0 for every port, or the name of a container port.'),
    endPort: z
      .int()
      .min(0, 'must be from 0 to 65535')
      .max(65535, 'must be from 0 to 65535')
      .optional()
      .describe('Last port of a range.'),
    protocol: z
      .enum(PROTOCOLS, `is none of ${PROTOCOLS.join(', ')}; messages of ICMP go into icmps`)
      .optional()
      .describe('ANY, the default, is TCP, UDP and SCTP.'),
  },
  { nulls: 'refused' },
);
export type WrittenPort = z.infer<typeof port>;

const ports = z.array(port).max(MAX_PORTS, `lists more than ${MAX_PORTS} ports: write a second entry`).optional();

const http = z.array(httpRule).optional().describe('HTTP requests.');
const kafka = z.array(kafkaRule).optional().describe('Kafka requests.');
const dns = z.array(nameSelector).optional().describe('DNS questions.');

const allowedRequests = objectOf(
  {
    http,
    kafka,
    dns,
    l7proto: z.string().min(1, 'must not be empty').optional().describe('Name of another parser.'),
    l7: z
      .array(z.record(z.string().min(1, 'must have a name'), z.string()))
      .optional()
      .describe('What that parser is told.'),
  },
  { nulls: 'refused', exactlyOne: ['http', 'kafka', 'dns', 'l7proto'] },
);

const deniedRequests = objectOf(
  { http, kafka, dns },
  {
    notes: notesFor(['l7proto', 'l7'], misplaced('only allow rules may name a parser')),
    nulls: 'refused',
    exactlyOne: ['http', 'kafka', 'dns'],
  },
);

const serverName = z
  .string()
  .max(MAX_NAME, `is longer than ${MAX_NAME} characters`)
  .regex(/^[-a-zA-Z0-9_*]+([.][-a-zA-Z0-9_*]+)*[.]?$/, 'must be a server name, in which "*" may stand for a part');

const allowedPorts = objectOf(
  {
    ports,
    rules: allowedRequests.optional().describe('What requests on these ports must be.'),
    serverNames: z
      .array(serverName)
      .min(1, 'must have an entry: an empty list would let every name pass')
      .optional()
      .describe('TLS server names that a client may ask for.'),
  },
  {
    notes: {
      terminatingTLS: unsupported(),
      originatingTLS: unsupported(),
      listener: unsupported(),
    },
    nulls: 'refused',
  },
);

const deniedPorts = objectOf(
  { ports, rules: deniedRequests.optional().describe('Requests that are refused; absent: every one.') },
  {
    notes: notesFor(
      ['serverNames', 'terminatingTLS', 'originatingTLS', 'listener'],
      misplaced('deny rules cannot look into TLS'),
    ),
    nulls: 'refused',
  },
);
export type WrittenToPorts = z.infer<typeof allowedPorts> | z.infer<typeof deniedPorts>;

const icmpField = objectOf(
  {
    family: z.enum(['IPv4', 'IPv6']).optional().describe('IPv4 is the default.'),
    type: z
      .union([
        z.int().min(0, 'must be from 0 to 255').max(255, 'must be from 0 to 255'),
        z.string().meta({ pattern: `^([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]|${ICMP_TYPE_NAMES.join('|')})$` }),
      ])
      .describe('Number of the type, or its name.'),
  },
  { nulls: 'refused' },
);
export type WrittenIcmpField = z.infer<typeof icmpField>;

const icmp = objectOf(
  { fields: z.array(icmpField).max(MAX_PORTS, `lists more than ${MAX_PORTS} types: write a second entry`).optional() },
  { nulls: 'refused' },
);
export type WrittenIcmp = z.infer<typeof icmp>;

const icmps = z.array(icmp).optional().describe('ICMP messages.');

export const allowedTraffic = {
  toPorts: z.array(allowedPorts).optional().describe('Ports, and what requests on them must be.'),
  icmps,
};

export const deniedTraffic = {
  toPorts: z.array(deniedPorts).optional().describe('Ports, or requests on them.'),
  icmps,
};
