// One TCP connection, one request after another, until the connection ends. Prints a line for each thing that happens:
// a status, "silence" while no answer comes, "closed" or an error code. Never opens a second connection.
//
//   keep-asking.ts HOST PORT PATH

import { connect } from 'node:net';

const ASK_AGAIN_MS = 100;
const SILENCE_MS = 1_000;

const [host = '', port = '', path = '/'] = process.argv.slice(2);
const authority = host.includes(':') ? `[${host}]` : host;
const socket = connect({ host, port: Number(port) });
let silence: NodeJS.Timeout | undefined;

function ask(): void {
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  silence = setInterval(() => console.log('silence'), SILENCE_MS);
}

socket.setEncoding('latin1');
socket.on('connect', ask);
let received = '';
socket.on('data', (text: string) => {
  received += text;
  const headEnd = received.indexOf('\r\n\r\n');
  const length = Number(/^content-length: *(\d+)/im.exec(received)?.[1] ?? Number.NaN);
  const isChunked = /^transfer-encoding: *chunked/im.test(received);
  if (headEnd < 0 || (isChunked ? !received.endsWith('0\r\n\r\n') : received.length < headEnd + 4 + length)) return;
  clearInterval(silence);
  console.log(received.slice(9, 12));
  received = '';
  setTimeout(ask, ASK_AGAIN_MS);
});
socket.on('error', (error: NodeJS.ErrnoException) => console.log(error.code));
socket.on('close', () => {
  clearInterval(silence);
  console.log('closed');
  process.exit(0);
});
