// Logs: one JSON object a line on stderr; constant messages, what varies in fields.

import { type Logger, pino } from 'pino';

export type { Logger };

/** A logger for one program, e.g. "agent". `level`: trace, debug, info, warn, error. */
export function createLogger(program: string, level = 'info'): Logger {
  return pino(
    { level, base: { program }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}
