// A client that is slow for as long as it lives, on several connections.
//
//   slow.ts reader HOST PORT COUNT   asks for /big and reads a little each second
//   slow.ts sender HOST PORT COUNT   sends a large body, a little each second

import { connect } from 'node:net';

const BODY_BYTES = 256 << 20;
const STEP_MS = 1_000;
const STEP = Buffer.alloc(1024, 'y');

const [kind = '', host = '', port = '', count = ''] = process.argv.slice(2);
const authority = host.includes(':') ? `[${host}]` : host;
for (let i = 0; i < Number(count); i++) {
  const socket = connect({ host, port: Number(port), onread: { buffer: Buffer.alloc(1024), callback: onRead } });
  socket.on('error', (error) => console.log(error.message));
  socket.on('connect', () => {
    if (kind === 'reader') socket.write(`GET /big HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    else socket.write(`POST /sink HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`);
    setInterval(() => {
      if (kind === 'reader') socket.resume();
      else socket.write(STEP);
    }, STEP_MS);
  });
}
console.log('started');

/** Pauses after each piece. */
function onRead(): boolean {
  return false;
}
