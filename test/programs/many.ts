// Opens COUNT connections, sends a request on each, and another once all were answered: all are open at once. Prints
// one line, the number of answers with status 200 in both rounds, or what went wrong.
//
//   many.ts HOST PORT COUNT

import { connect, type Socket } from 'node:net';

const [host = '', port = '', count = ''] = process.argv.slice(2);
const authority = host.includes(':') ? `[${host}]` : host;
const REQUEST = `GET /many HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
const AT_ONCE = 100; // connections that are being opened

/** Sends one request and waits for the start of its answer. */
function ask(socket: Socket): Promise<boolean> {
  return new Promise((resolve, reject) => {
    socket.once('data', (data: Buffer) => resolve(data.toString('latin1').startsWith('HTTP/1.1 200 ')));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
    socket.write(REQUEST);
  });
}

const open = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port) });
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });

try {
  const sockets: Socket[] = [];
  while (sockets.length < Number(count)) {
    sockets.push(
      ...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, Number(count) - sockets.length) }, open))),
    );
  }
  let answered = 0;
  for (let round = 0; round < 2; round++) {
    answered += (await Promise.all(sockets.map(ask))).filter(Boolean).length;
  }
  console.log(answered);
} catch (error) {
  console.log((error as Error).message);
}
process.exit(0);
