// References to variables in a container's command, args and env, as Kubernetes writes them.

/**
 * Replaces $(NAME) by the variable's value; a name that is not defined stays as it is, and $$ is a plain $.
 * Values are not expanded a second time.
 */
export function expandVariables(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (reference, name: string | undefined) =>
    name === undefined ? '$' : (values.get(name) ?? reference),
  );
}
