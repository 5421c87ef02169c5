// From the kernel's CLOCK_BOOTTIME to wall time.

import { uptime } from 'node:os';

export interface Clocks {
  /** CLOCK_MONOTONIC in ns. */
  monotonicNs(): bigint;
  /** CLOCK_BOOTTIME in seconds, to a hundredth. */
  uptimeSeconds(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
}

const SYSTEM: Clocks = { monotonicNs: process.hrtime.bigint, uptimeSeconds: uptime, wallMs: Date.now };

/** Boot time runs ahead of monotonic time by the time spent suspended; less than this is the clocks' own coarseness. */
const SUSPEND_STEP_NS = 100_000_000n;
/** The wall clock is followed once it has moved by more than this; less would only shake the order of flows. */
const WALL_STEP_NS = 20_000_000n;
const RECALIBRATE_NS = 1_000_000_000n;

/** A function from CLOCK_BOOTTIME ns to ns since 1970. It follows suspends and steps of the wall clock within a second. */
export function createBootClock(clocks: Clocks = SYSTEM): (bootNs: bigint) => bigint {
  let offset: bigint | undefined;
  let calibrated = 0n;
  const measure = (monotonic: bigint): bigint => {
    const suspended = BigInt(Math.round(clocks.uptimeSeconds() * 1_000)) * 1_000_000n - monotonic;
    const boot = monotonic + (suspended > SUSPEND_STEP_NS ? suspended : 0n);
    return BigInt(clocks.wallMs()) * 1_000_000n - boot;
  };
  return (bootNs) => {
    const monotonic = clocks.monotonicNs();
    if (offset === undefined || monotonic - calibrated > RECALIBRATE_NS) {
      const measured = measure(monotonic);
      const moved = offset === undefined ? WALL_STEP_NS + 1n : measured - offset;
      if (moved > WALL_STEP_NS || moved < -WALL_STEP_NS) offset = measured;
      calibrated = monotonic;
    }
    return bootNs + (offset as bigint);
  };
}
