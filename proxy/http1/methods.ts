// Request methods that are served: the IANA registry, and those that UPnP, caches and streaming sources use.

/** What matters of a method beyond its name. */
export const METHOD = { plain: 0, head: 1, connect: 2, options: 3, star: 4 } as const;

const NAMES = `GET POST PUT DELETE PATCH HEAD OPTIONS CONNECT TRACE QUERY
  ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF
  MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE
  UPDATEREDIRECTREF VERSION-CONTROL M-SEARCH NOTIFY PURGE SOURCE SUBSCRIBE UNSUBSCRIBE`;

interface Method {
  readonly bytes: Uint8Array;
  readonly kind: number;
}

function kindOf(name: string): number {
  switch (name) {
    case 'HEAD':
      return METHOD.head;
    case 'CONNECT':
      return METHOD.connect;
    case 'OPTIONS':
      return METHOD.options;
    case 'M-SEARCH':
    case 'NOTIFY':
      return METHOD.star; // like OPTIONS they take the target "*"
    default:
      return METHOD.plain;
  }
}

/** By length, so that a look-up compares one or two names. */
const byLength: Method[][] = [];
for (const name of NAMES.split(/\s+/)) {
  const list = byLength[name.length] ?? [];
  list.push({ bytes: Uint8Array.from(name, (c) => c.charCodeAt(0)), kind: kindOf(name) });
  byLength[name.length] = list;
}

/** The METHOD of `buffer[start..end)`, -1 if it is not served. Names are case-sensitive. */
export function methodKind(buffer: Buffer, start: number, end: number): number {
  const candidates = byLength[end - start];
  if (candidates === undefined) return -1;
  for (const { bytes, kind } of candidates) {
    let i = 0;
    while (i < bytes.length && buffer[start + i] === bytes[i]) i++;
    if (i === bytes.length) return kind;
  }
  return -1;
}
