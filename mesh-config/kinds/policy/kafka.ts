// Kafka rules of a policy.

import type { KafkaRule } from '../../model.ts';
import { show } from '../../schema/report.ts';
import { didYouMean } from '../../schema/suggest.ts';
import type { Place } from './place.ts';
import type { WrittenKafkaRule } from './ports-schema.ts';

/** Names of requests as rules have them; the place is the number (Kafka's protocol guide, "Api Keys"). */
const API_KEYS = [
  'produce',
  'fetch',
  'offsets',
  'metadata',
  'leaderandisr',
  'stopreplica',
  'updatemetadata',
  'controlledshutdown',
  'offsetcommit',
  'offsetfetch',
  'findcoordinator',
  'joingroup',
  'heartbeat',
  'leavegroup',
  'syncgroup',
  'describegroups',
  'listgroups',
  'saslhandshake',
  'apiversions',
  'createtopics',
  'deletetopics',
  'deleterecords',
  'initproducerid',
  'offsetforleaderepoch',
  'addpartitionstotxn',
  'addoffsetstotxn',
  'endtxn',
  'writetxnmarkers',
  'txnoffsetcommit',
  'describeacls',
  'createacls',
  'deleteacls',
  'describeconfigs',
  'alterconfigs',
];
/** Versions are 16 bits, with a sign. */
const MAX_VERSION = 32767;

/** One rule. Names of requests have no case. */
export function lowerKafka(written: WrittenKafkaRule, { path, report }: Place): KafkaRule {
  const { role = '', apiVersion: version = '', clientID: clientId = '', topic = '' } = written;
  const apiKey = written.apiKey?.toLowerCase() ?? '';
  if (apiKey !== '' && !API_KEYS.includes(apiKey)) {
    const hint = didYouMean(apiKey, API_KEYS) || `: write one of ${API_KEYS.join(', ')}`;
    report.problem([...path, 'apiKey'], `${show(written.apiKey)} is no name of a request${hint}`);
  }
  if (role !== '' && apiKey !== '') {
    report.problem(
      [...path, 'apiKey'],
      `${show(written.apiKey)} cannot stand beside the role ${show(role)}: write one of both`,
    );
  }
  if (version !== '' && (!/^\d{1,5}$/.test(version) || Number(version) > MAX_VERSION)) {
    report.problem([...path, 'apiVersion'], `${show(version)} is no version: write a number from 0 to ${MAX_VERSION}`);
  }
  if (topic !== '' && !/^[a-zA-Z0-9._-]+$/.test(topic)) {
    report.problem([...path, 'topic'], `${show(topic)} is no topic: write letters, digits, ".", "_" and "-"`);
  }
  return { role, apiKey, apiVersion: version === '' ? undefined : Number(version), clientId, topic };
}
