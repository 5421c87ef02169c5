// An HTTP server for tests: on each port given, both families. Answers with what it saw, as JSON; "/big" answers with
// BIG_BYTES of body, made only as fast as it is read. With --log, prints each path that it was asked for.

import { createServer, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

const BIG_BYTES = 256 << 20;
const CHUNK = Buffer.alloc(64 << 10, 'x');

const options = process.argv.slice(2);
const logs = options.includes('--log');
for (const port of options.filter((option) => option !== '--log')) {
  const server = createServer((request, response) => {
    if (logs) console.log(request.url);
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      if (request.url === '/big') return answerBig(response);
      const { remoteAddress = '', remotePort, localAddress = '' } = request.socket;
      const saw = { method: request.method, path: request.url, bytes, port: Number(port) };
      const ends = { client: plain(remoteAddress), remotePort, server: plain(localAddress) };
      response.setHeader('content-type', 'application/json');
      response.end(`${JSON.stringify({ ...saw, ...ends })}\n`);
    });
    request.on('error', () => response.destroy());
  });
  server.keepAliveTimeout = 120_000;
  server.requestTimeout = 0;
  server.listen({ port: Number(port), host: '::', backlog: 4096 });
}

function answerBig(response: ServerResponse): void {
  response.setHeader('content-length', BIG_BYTES);
  const chunks = function* (): Generator<Buffer> {
    for (let sent = 0; sent < BIG_BYTES; sent += CHUNK.length) yield CHUNK;
  };
  Readable.from(chunks()).pipe(response);
}

/** IPv4 without its IPv6 mapping. */
function plain(address: string): string {
  return address.replace(/^::ffff:/, '');
}
