// The picture of a stream, and HTTP-FLV behind it.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { browse, isClean, open } from './browser.js';
import { encoder, film, Relay, until } from './programs.js';

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

/** Some pixels of what is shown, as numbers. */
function pixels(page) {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    const canvas = new OffscreenCanvas(32, 18);
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 32, 18);
    return [...context.getImageData(0, 0, 32, 18).data];
  });
}

/** How many of the pixels differ by more than a little. */
function differ(one, other) {
  return one.filter((value, at) => Math.abs(value - other[at]) > 24).length;
}

test('the picture is loaded when it is asked for, and its pixels move', async () => {
  const relay = await Relay.start();
  const obs = encoder(`${relay.url}/show`);
  const page = await open(browser, relay.page);
  const loaded = () =>
    page.evaluate(() => performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname));
  await page.getByRole('button', { name: 'Show picture' }).waitFor();
  assert.ok(
    !(await loaded()).some((path) => path.includes('mpegts') || path.endsWith('.flv')),
    'nothing before it is wanted',
  );
  await page.getByRole('button', { name: 'Show picture' }).click();
  await page.waitForFunction(() => document.querySelector('video')?.currentTime > 0.5);
  assert.deepEqual(
    await page.evaluate(() => [document.querySelector('video').videoWidth, document.querySelector('video').muted]),
    [640, true],
  );
  const first = await pixels(page);
  assert.ok(new Set(first).size > 16, 'a picture, and not one colour');
  await until('another picture', async () => differ(first, await pixels(page)) > 20);
  const second = await pixels(page);
  await until('and another', async () => differ(second, await pixels(page)) > 20);
  assert.equal((await relay.get('streams/live/show')).players, 1);
  await page.getByRole('button', { name: 'Hide picture' }).click();
  await until('its end', async () => (await relay.get('streams/live/show')).players === 0);
  await isClean(page);
  await Promise.all([obs.end(), relay.end()]);
});

test('the history of a stream is drawn as it comes to be', async () => {
  const relay = await Relay.start();
  const obs = encoder(`${relay.url}/show`);
  // The first time it cannot be loaded: the relay was gone for a moment.
  await browser.route('**/uplot.js', (route) => route.abort(), { times: 1 });
  const page = await open(browser, relay.page);
  const drawn = () =>
    page.evaluate(() => {
      const canvas = document.querySelector('.chart canvas');
      if (!canvas) return 0;
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let blue = 0;
      for (let at = 0; at < data.length; at += 4) if (data[at + 2] > data[at] + 60 && data[at + 3] > 200) blue++;
      return blue;
    });
  const early = await until('a line', drawn);
  await until('more of it', async () => (await drawn()) > early);
  await isClean(page);
  await Promise.all([obs.end(), relay.end()]);
});

test('a picture that the browser or the player cannot play is said to be one', async () => {
  const relay = await Relay.start();
  const [hevc, vp9] = [film('hevc-aac.flv', `${relay.url}/hevc`), film('vp9-opus.flv', `${relay.url}/vp9`)];
  const page = await open(browser, relay.page);
  const card = (name) => page.locator('.stream', { hasText: name });
  for (const name of ['live/hevc', 'live/vp9']) {
    await card(name).getByRole('button', { name: 'Show picture' }).click();
    await card(name).getByText('This browser does not play the codecs of this stream').waitFor();
  }
  await isClean(page);
  await Promise.all([hevc.end(), vp9.end(), relay.end()]);
});

test('ffprobe reads the door for viewers', async () => {
  const relay = await Relay.start({ env: { RTMP_RELAY_PLAY_KEY: 'secret-play-key' } });
  const obs = encoder(`${relay.url}/show`);
  const flv = `${relay.page}live/show.flv`;
  await until('the stream', async () => (await fetch(`${flv}?key=secret-play-key`, { method: 'HEAD' })).ok);
  assert.equal((await fetch(flv)).status, 403);
  const show = [
    '-v',
    'error',
    '-show_entries',
    'stream=codec_name,width,height,sample_rate',
    '-of',
    'json',
    '-read_intervals',
    '%+1',
  ];
  const { stdout, stderr } = await promisify(execFile)('ffprobe', [...show, `${flv}?key=secret-play-key`]);
  assert.equal(stderr, '');
  assert.deepEqual(JSON.parse(stdout).streams, [
    { codec_name: 'h264', width: 640, height: 360 },
    { codec_name: 'aac', sample_rate: '48000' },
  ]);
  await Promise.all([obs.end(), relay.end()]);
});
