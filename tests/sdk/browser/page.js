// Runs in the browser: the unmodified SDK (the global HarnessFFSDK), told what to do by the driver through an EventSource and
// answering with POSTs. The page is of another origin than the relay, as a web application's is.
/* global HarnessFFSDK */
'use strict';

const { initialize, Event } = HarnessFFSDK;
let sdk;

const post = (path, body) => fetch(path, { method: 'POST', body: JSON.stringify(body) });
// In the order in which they were given: a later answer must not overtake an earlier one.
let posted = Promise.resolve();
const answer = (line) => (posted = posted.then(() => post('/answer', line)));
const log = (...words) => void post('/log', words.map((word) => (word instanceof Error ? word.message : word)));
const logger = { debug: log, info: log, warn: log, error: log };

// One SDK instance evaluates for one target; another target means another instance, as when a user signs in.
function start({ relayUrl, sdkKey, target }) {
  sdk?.close();
  let told = false;
  const tell = (line) => {
    if (!told) answer(line);
    told = true;
  };
  sdk = initialize(sdkKey, target, {
    baseUrl: relayUrl,
    eventUrl: relayUrl,
    streamEnabled: true,
    pollingInterval: 3_600_000, // so that a change can only come through the stream
    eventsSyncInterval: 60_000, // the SDK's minimum
    debug: true,
    logger,
  });
  sdk.on(Event.READY, () => tell({ event: 'ready' }));
  sdk.on(Event.ERROR_AUTH, (error) => tell({ event: 'failed', error: String(error) }));
  sdk.on(Event.ERROR_METRICS, (error) => log('metrics error', String(error)));
}

const commands = new EventSource('/commands');
commands.onmessage = ({ data }) => {
  const command = JSON.parse(data);
  if (command.command === 'start') start(command);
  if (command.command === 'variation') answer({ event: 'value', value: sdk.variation(command.flag, command.default) });
};
