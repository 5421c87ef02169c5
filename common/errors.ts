// The error catalogue: every error that a person may see has a code, a text and what to do. docs/errors.md is generated.

/** code -> what it means and what the operator should do. Texts of single errors are made where they happen. */
export const ERRORS = {
  WEIR_NOT_ROOT: { meaning: 'The command needs root.', remedy: 'Run it with sudo.' },
  WEIR_UNABLE: {
    meaning: 'This machine lacks something that Weir needs.',
    remedy: 'Run `./weir check`; it names what is missing and what to do.',
  },
  WEIR_STATE_UNREADABLE: {
    meaning:
      'The file in which the agent remembers its numbers is damaged; new numbers could be mistaken for old ones.',
    remedy: 'Take the node down with `weir down` and up again; this removes the file together with the kernel state.',
  },
  WEIR_INTERNAL: { meaning: 'A defect in Weir.', remedy: 'Report it with the output of `weir status -o json`.' },
} as const satisfies Record<string, { meaning: string; remedy: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a catalogue code. `message` reads "Cannot <verb> <object>: <state>". */
export class WeirError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'WeirError';
    this.code = code;
  }
}
