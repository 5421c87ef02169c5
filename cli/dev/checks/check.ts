// What one check of `weir dev check` is.

/** What a check sees. Paths in `files` are relative to `top`. */
export interface CheckContext {
  readonly top: string;
  readonly files: readonly string[];
  readonly isRoot: boolean;
  readonly signal: AbortSignal;
}

/** `problems`: one line each, naming file and reason; none: the check holds. `notes` are printed either way. */
export interface CheckResult {
  readonly problems: readonly string[];
  readonly notes?: readonly string[];
}

export interface Check {
  readonly name: string;
  run(context: CheckContext): Promise<CheckResult>;
}
