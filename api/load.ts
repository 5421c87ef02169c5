// Loads the .proto contracts of this folder for gRPC servers and clients.

import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/**
 * The service `name` ("package.Service") of `file` ("node.proto"), in the form that grpc-js takes. Field names are as in
 * the .proto file, or in camel case with `camelCase`. Enums are texts, bytes are Buffers, absent fields stay absent;
 * 64-bit numbers become numbers (`longs: 'number'`) or decimal texts.
 */
export function loadService(options: {
  readonly file: string;
  readonly name: string;
  readonly camelCase: boolean;
  readonly longs: 'number' | 'text';
}): ServiceDefinition {
  const definitions = loadSync(options.file, {
    includeDirs: [FOLDER],
    keepCase: !options.camelCase,
    longs: options.longs === 'number' ? Number : String,
    enums: String,
    defaults: options.camelCase, // Flows keep absent and zero apart: their JSON must not show what was not set.
    arrays: options.camelCase,
  });
  const service = definitions[options.name];
  if (service === undefined) throw new Error(`Cannot load service ${options.name}: not in ${options.file}`);
  return service as unknown as ServiceDefinition;
}
