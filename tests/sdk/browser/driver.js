// Drives the unmodified Harness browser SDK in headless Chromium: commands as JSON lines on stdin, answers as JSON lines on
// stdout, all else on stderr. It serves the page itself; the page speaks to it over an EventSource and POSTs, so that no browser
// automation library is needed. Environment: RELAY_URL, SDK_KEY, TARGET (JSON), CHROMIUM, NODE_PATH, INIT_TIMEOUT_SECONDS.
// Beside the common commands: {"command":"target","target":{…}} starts the SDK anew for another target.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');

const SDK = path.join(path.dirname(require.resolve('@harnessio/ff-javascript-client-sdk')), 'sdk.client-iife.js');
const FILES = {
  '/': [path.join(__dirname, 'page.html'), 'text/html; charset=utf-8'],
  '/page.js': [path.join(__dirname, 'page.js'), 'text/javascript; charset=utf-8'],
  '/sdk.js': [SDK, 'text/javascript; charset=utf-8'],
};

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const log = (...words) => console.error(new Date().toISOString(), ...words);

const start = { command: 'start', relayUrl: process.env.RELAY_URL, sdkKey: process.env.SDK_KEY };
// Until the page is there, what it is to be told waits here.
let page;
const waitingForPage = [];
let waitingForStart;

function tellPage(command) {
  if (page) page.write(`data: ${JSON.stringify(command)}\n\n`);
  else waitingForPage.push(command);
}

function startFor(target) {
  const seconds = Number(process.env.INIT_TIMEOUT_SECONDS ?? 30);
  waitingForStart = setTimeout(() => answer({ event: 'failed', error: `not initialised after ${seconds} s` }), seconds * 1000);
  tellPage({ ...start, target });
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString('utf8'));
}

async function serve(request, response) {
  if (request.url === '/commands') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    page = response;
    waitingForPage.splice(0).forEach(tellPage);
    return;
  }
  if (request.url === '/answer') {
    const line = await body(request);
    if (line.event !== 'value') clearTimeout(waitingForStart);
    answer(line);
    response.writeHead(204).end();
    return;
  }
  if (request.url === '/log') {
    log(...(await body(request)));
    response.writeHead(204).end();
    return;
  }
  const [file, type] = FILES[request.url] ?? [];
  if (!file) return void response.writeHead(404).end();
  response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  fs.createReadStream(file).pipe(response);
}

function launch(url, profile) {
  const flags = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    `--user-data-dir=${profile}`, `--crash-dumps-dir=${profile}`,
  ];
  // In a process group of its own: the browser is several processes, which must all end with the driver.
  const browser = spawn(process.env.CHROMIUM ?? '/usr/bin/chromium', [...flags, url], {
    detached: true,
    stdio: ['ignore', process.stderr, process.stderr],
  });
  browser.on('error', (error) => answer({ event: 'failed', error: `chromium: ${error.message}` }));
  return browser;
}

async function main() {
  const server = http.createServer((request, response) => serve(request, response).catch((error) => log('serve', error)));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sdk-browser-'));
  const browser = launch(`http://127.0.0.1:${server.address().port}/`, profile);

  const end = () => {
    try {
      process.kill(-browser.pid, 'SIGKILL');
    } catch (error) {
      log('chromium had already ended', error.code);
    }
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end);
  process.on('uncaughtException', (error) => {
    log('driver', error);
    end();
  });

  startFor(JSON.parse(process.env.TARGET));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    if (command.command === 'close') break;
    if (command.command === 'target') startFor(command.target);
    if (command.command === 'variation') tellPage(command);
  }
  end();
}

main();
