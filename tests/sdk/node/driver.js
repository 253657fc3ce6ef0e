// Drives the unmodified Harness Node server SDK: commands as JSON lines on stdin, answers as JSON lines on stdout, all else on stderr.
// Environment: RELAY_URL, SDK_KEY, INIT_TIMEOUT_SECONDS. The SDK is found through NODE_PATH.
'use strict';

const { Console } = require('node:console');
const readline = require('node:readline');

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
// The SDK logs through the global console, also to stdout, which belongs to the answers here.
global.console = new Console(process.stderr, process.stderr);

const { Client } = require('@harnessio/ff-nodejs-server-sdk');

const HOUR_MS = 3_600_000;
const log = (level) => (...words) => console.error(new Date().toISOString(), level, ...words);
const logger = { trace: () => {}, debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };

const client = new Client(process.env.SDK_KEY, {
  baseUrl: process.env.RELAY_URL,
  eventsUrl: process.env.RELAY_URL,
  enableStream: true,
  pollInterval: HOUR_MS, // so that a change can only come through the stream
  eventsSyncInterval: 60_000, // the SDK's minimum
  logger,
});

const VARIATIONS = { boolean: 'boolVariation', string: 'stringVariation', number: 'numberVariation', json: 'jsonVariation' };

async function variation({ flag, kind, target, default: fallback }) {
  return client[VARIATIONS[kind]](flag, target, fallback);
}

// A refused key makes this SDK ask again for ever, so the wait needs an end of its own.
async function initialised() {
  const seconds = Number(process.env.INIT_TIMEOUT_SECONDS ?? 30);
  let timer;
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not initialised after ${seconds} s`)), seconds * 1000);
  });
  await Promise.race([client.waitForInitialization(), tooLong]);
  clearTimeout(timer);
}

// close() sends the last metrics without waiting for the answer; the event loop stays alive until it has come.
function close() {
  try {
    client.close();
  } catch (error) {
    console.error('close failed', error); // an SDK that never initialised has nothing to close
    process.exit(0);
  }
  setTimeout(() => process.exit(0), 3000).unref();
}

async function main() {
  try {
    await initialised();
    answer({ event: 'ready' });
  } catch (error) {
    answer({ event: 'failed', error: String(error?.message ?? error) });
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    if (command.command === 'close') break;
    if (command.command === 'variation') answer({ event: 'value', value: await variation(command) });
  }
  close();
}

main();
