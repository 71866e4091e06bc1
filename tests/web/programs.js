// Programs under a test's control: each logs to a file, has a deadline for everything, and is ended by its own pid.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');
const RELAY = process.env.RTMP_RELAY ?? path.join(ROOT, 'target/release/rtmp-relay');

/** Longer than anything takes on the slowest machine. */
export const PATIENCE = 30_000;

/** The first true value of `condition`, asked again and again. */
export async function until(what, condition, limit = PATIENCE) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`no ${what} within ${limit / 1000} s`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** A port of this machine on which nobody listens, below those that the system gives away. */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const probe = net.createServer();
    const free = await new Promise((done) => {
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (free) return port;
  }
}

/** A folder that is gone with the process. */
export const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rtmp-relay-web-'));
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  // The browser ends after us, and still writes to its folder.
  spawn('sh', ['-c', 'sleep 2; rm -rf "$0"', folder], { detached: true, stdio: 'ignore' }).unref();
});

let started = 0;

export class Program {
  constructor(name, command, args, env = {}) {
    this.log = path.join(folder, `${name}-${++started}.log`);
    const log = fs.openSync(this.log, 'w');
    // Should the test itself be killed, the kernel ends the program too.
    const argv = ['--pdeathsig', 'KILL', command, ...args];
    this.child = spawn('setpriv', argv, { stdio: ['ignore', log, log], env: { ...process.env, ...env } });
    fs.closeSync(log);
    // A test that has failed does not wait for what it has left.
    this.child.unref();
    running.add(this.child);
    this.ended = new Promise((done) => this.child.once('exit', done)).then(() => running.delete(this.child));
  }

  said() {
    return fs.readFileSync(this.log, 'utf8');
  }

  async says(pattern) {
    return until(`/${pattern.source}/ from ${this.log}`, () => {
      const found = pattern.exec(this.said());
      if (!found && this.child.exitCode !== null) throw new Error(`it has ended: ${this.said()}`);
      return found;
    });
  }

  /** Ends it as a crash would. */
  async kill() {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** Ends it as Ctrl-C would. */
  async end() {
    this.child.kill('SIGINT');
    await this.ended;
  }
}

/** The built relay. */
export class Relay extends Program {
  /** One on free ports, or on those given. */
  static async start({ port, api, args = [], env = {} } = {}) {
    port ??= await freePort();
    api ??= await freePort();
    const listens = ['--listen', `127.0.0.1:${port}`, '--api-listen', api === 'off' ? api : `127.0.0.1:${api}`];
    const relay = new Relay('relay', RELAY, ['serve', ...listens, ...args], {
      RTMP_RELAY_API_ALLOW_INTERNAL: 'true',
      ...env,
    });
    Object.assign(relay, { port, api, url: `rtmp://127.0.0.1:${port}/live`, page: `http://127.0.0.1:${api}/` });
    await relay.says(api === 'off' ? /listens on/ : /HTTP API on/);
    return relay;
  }

  /** What the API tells. */
  async get(what, token) {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(`${this.page}api/v1/${what}`, { headers });
    if (!response.ok) throw new Error(`${what}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async post(what, body) {
    const response = await fetch(`${this.page}api/v1/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${what}: ${response.status} ${await response.text()}`);
    return response.json();
  }
}

/** An encoder: ffmpeg, with a picture that moves all the time and a sound. */
export function encoder(url) {
  const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30'];
  const sound = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
  const video = [
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-tune',
    'zerolatency',
    '-pix_fmt',
    'yuv420p',
    '-g',
    '30',
    '-b:v',
    '800k',
  ];
  const audio = ['-c:a', 'aac', '-b:a', '96k'];
  return new Program('ffmpeg', 'ffmpeg', [
    '-hide_banner',
    '-nostdin',
    '-re',
    ...picture,
    '-re',
    ...sound,
    ...video,
    ...audio,
    '-f',
    'flv',
    url,
  ]);
}

/** An encoder with a file of the fixtures. */
export function film(file, url) {
  return new Program('publish', RELAY, ['publish', path.join(ROOT, 'fixtures/flv', file), url, '--loop']);
}
