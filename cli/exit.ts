// How the CLI ends: exit codes, and errors that carry one.

/** Exit codes of every command; `exec` passes on the code of the command it ran instead. */
export const EXIT = {
  ok: 0,
  /** It was tried and failed, or what was asked for is not so (`status` of a node that is not ready). */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** No agent runs for the node. */
  notRunning: 3,
} as const;

/** An error for people: `message` is printed as it is, then the process ends with `code`. */
export class CliError extends Error {
  readonly code: number;
  constructor(message: string, code: number = EXIT.failed) {
    super(message);
    this.name = 'CliError';
    this.code = code;
  }
}
