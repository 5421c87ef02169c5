// Long work in small steps, for a thread that has other things to do in between.

/** Work that is done a little at each `next()`, some tens of microseconds as a rule, and returns its result at the end. */
export type Steps<T> = Generator<void, T, void>;

/** Does all of it now. */
export function finishSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
