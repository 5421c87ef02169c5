// Names, labels and numbers as Kubernetes allows them.

import { z } from 'zod';

const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
// Within a name of several labels only the whole has a limit.
const PART = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${PART}(\\.${PART})*`;
const QUALIFIED = '[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';

const MAX_SUBDOMAIN = 253;

const LABEL_RULE =
  'must be lower-case letters, digits and "-", 1 to 63 of them, beginning and ending with a letter or digit';
const PREFIX_RULE = 'must be a name, optionally after a DNS name and "/", like "app.kubernetes.io/name"';

/** RFC 1123 label: names of objects that become part of a DNS name. */
export const dnsLabel = z.string().regex(new RegExp(`^${LABEL}$`), LABEL_RULE);

/** RFC 1123 subdomain: names of objects; parts with dots between. */
export const dnsSubdomain = z
  .string()
  .max(MAX_SUBDOMAIN, `is longer than ${MAX_SUBDOMAIN} characters`)
  .regex(new RegExp(`^${SUBDOMAIN}$`), 'must be lower-case letters, digits, "-" and ".", as in a DNS name');

/** Key of a label or an annotation. */
export const labelKey = z
  .string()
  .regex(new RegExp(`^(${SUBDOMAIN}/)?${QUALIFIED}$`), PREFIX_RULE)
  .max(MAX_SUBDOMAIN + 64, `is longer than ${MAX_SUBDOMAIN + 64} characters`)
  .refine((text) => text.indexOf('/') <= MAX_SUBDOMAIN, `has more than ${MAX_SUBDOMAIN} characters before the "/"`);

/** Value of a label. */
export const labelValue = z
  .string()
  .regex(
    new RegExp(`^(${QUALIFIED})?$`),
    'must be empty or at most 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit',
  );

/** metadata.labels, and selectors of Services and Deployments. */
export const labels = z.record(labelKey, labelValue);

/** metadata.annotations: any text. */
export const annotations = z.record(labelKey, z.string());

/** Port number, 1 to 65535. */
export const portNumber = z.int().min(1, 'must be from 1 to 65535').max(65535, 'must be from 1 to 65535');

/** Name of a port (IANA service name). */
export const portName = z
  .string()
  .regex(
    /^(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/,
    'must be a port name: at most 15 lower-case letters, digits and single "-", with at least one letter',
  );

/** Text that can be handed to a process. */
export const processText = z.string().refine((text) => !text.includes('\0'), 'must not contain a NUL byte');
