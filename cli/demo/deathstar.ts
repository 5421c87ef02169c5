// The station's server: three answers on port 80, for both address families.

import { createServer } from 'node:http';

const STATION = {
  name: 'Death Star',
  model: 'DS-1 Orbital Battle Station',
  manufacturer: 'Imperial Department of Military Research, Sienar Fleet Systems',
  cost_in_credits: '1000000000000',
  length: '120000',
  crew: '342953',
  passengers: '843342',
  cargo_capacity: '1000000000000',
  hyperdrive_rating: '4.0',
  starship_class: 'Deep Space Mobile Battlestation',
  api: ['GET   /v1', 'POST  /v1/request-landing', 'PUT   /v1/exhaust-port'],
};
const PANIC = ['Panic: deathstar exploded', '', 'goroutine 1 [running]:', 'main.main()', ''];

/** Method and path -> answer. */
const ANSWERS: Readonly<Record<string, string>> = {
  'GET /v1/': `${JSON.stringify(STATION)}\n`,
  'POST /v1/request-landing': 'Ship landed\n',
  'PUT /v1/exhaust-port': PANIC.join('\n'),
};

const server = createServer((request, response) => {
  const path = (request.url ?? '').split('?')[0];
  const answer = ANSWERS[`${request.method} ${path}`];
  request.resume();
  response.statusCode = answer === undefined ? 404 : 200;
  response.end(answer ?? 'No such port\n');
});
server.listen({ port: 80, host: '::' });
process.on('SIGTERM', () => process.exit(0));
