// Takes spans as Zipkin v2 JSON on the loopback device and prints each as a line. Started by spans.ts.

import { createServer } from 'node:http';

const MAX_BODY_BYTES = 4 << 20;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  });
  request.on('end', () => {
    try {
      const spans: unknown = size <= MAX_BODY_BYTES ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
      if (!Array.isArray(spans)) throw new Error('not a list of spans');
      for (const span of spans) console.log(JSON.stringify(span));
      response.writeHead(202).end();
    } catch (error) {
      response.writeHead(400).end(`Cannot take spans: ${(error as Error).message}\n`);
    }
  });
});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1' }, () => console.log('ready'));
