// Prints each UDP datagram that arrives on the port given, or 5000: "<source address> <text>".

import { createSocket } from 'node:dgram';

const socket = createSocket({ type: 'udp6' });
socket.on('message', (message, { address }) => console.log(`${address.replace(/^::ffff:/, '')} ${message}`));
socket.bind(Number(process.argv[2] ?? 5000));
