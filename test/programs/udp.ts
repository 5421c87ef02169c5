// Prints each UDP datagram that arrives on port 5000: "<source address> <text>".

import { createSocket } from 'node:dgram';

const socket = createSocket({ type: 'udp6' });
socket.on('message', (message, { address }) => console.log(`${address.replace(/^::ffff:/, '')} ${message}`));
socket.bind(5000);
