// Durations and points in time as people write them.

import { err, ok, type Result } from '#common/result.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "90s", "5m", "1h30m" in milliseconds. */
export function parseDuration(text: string): Result<number, string> {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) {
    return err(`Cannot read duration "${text}": write a number and a unit, such as 90s, 5m or 1h30m`);
  }
  let total = 0;
  for (const [, number, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(number) * (UNITS[unit] ?? 0);
  }
  return ok(total);
}

/** A duration before `nowMs`, or an RFC 3339 time; milliseconds since 1970. */
export function parseTime(text: string, nowMs: number): Result<number, string> {
  const duration = parseDuration(text);
  if (duration.ok) return ok(nowMs - duration.value);
  const time = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text)
    ? Date.parse(text)
    : NaN;
  if (Number.isNaN(time)) {
    return err(`Cannot read time "${text}": write a duration (5m) or a time (2026-01-02T15:04:05Z)`);
  }
  return ok(time);
}
