// The page and its relay: signing in, losing it, finding it again.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, isClean, open, stands } from './browser.js';
import { encoder, Relay } from './programs.js';

const TOKEN = 'correct-horse-battery-staple';

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

test('a relay with a token shows nothing before it is told, and the token goes into headers only', async () => {
  const relay = await Relay.start({ env: { RTMP_RELAY_API_TOKEN: TOKEN } });
  const obs = encoder(`${relay.url}/show`);
  const page = await open(browser, relay.page);
  const requests = [];
  page.on('request', (request) => requests.push(request));
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.getByLabel('Token').fill('wrong-horse-battery-staple');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('That is not the token.').waitFor();
  await page.getByLabel('Token').fill(TOKEN);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.link:not(.gone)').waitFor();
  await page.getByRole('button', { name: 'Show picture' }).click();
  await page.waitForFunction(() => document.querySelector('video')?.currentTime > 0.5);
  assert.ok(requests.some((request) => request.url().endsWith('/live/show.flv')));
  assert.ok(!requests.some((request) => request.url().includes(TOKEN)), 'in no address');
  const kept = () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]);
  assert.equal(await page.evaluate(kept), JSON.stringify([{}, { 'rtmp-relay token': TOKEN }, '']));
  assert.ok(!(await page.content()).includes(TOKEN), 'nor on the page');
  // Another tab has to be told again, this one has not.
  await page.reload();
  await page.locator('.link:not(.gone)').waitFor();
  const other = await open(browser, relay.page);
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  await Promise.all([isClean(page), isClean(other)]);
  await other.close();
  await Promise.all([obs.end(), relay.end()]);
});

test('a relay that is gone is said to be gone, what is shown is said to be old, and it is found again by itself', async () => {
  const platform = await Relay.start({ api: 'off' });
  const ports = { args: ['--relay-to', `${platform.url}/key`] };
  let relay = await Relay.start(ports);
  let obs = encoder(`${relay.url}/show`);
  const page = await open(browser, relay.page);
  await stands(page, '127.0.0.1', 'live');
  await relay.kill();
  await page.getByText('Not connected to the relay').waitFor({ timeout: 5000 });
  const banner = page.locator('.stale-banner');
  assert.match(await banner.innerText(), /What you see is as of \d\d:\d\d:\d\d/);
  // The browser's tab follows the page a moment later.
  await page.waitForFunction(() => document.title === 'Not connected · rtmp-relay', null, { timeout: 5000 });
  // What was known is still there to be read.
  await stands(page, '127.0.0.1', 'live');
  await page.getByRole('button', { name: 'Disable 127.0.0.1' }).click();
  await page.locator('.notes', { hasText: 'the relay cannot be reached' }).waitFor();
  await obs.end();

  relay = await Relay.start({ ...ports, port: relay.port, api: relay.api });
  await page.getByText('Connected', { exact: false }).first().waitFor();
  await banner.waitFor({ state: 'hidden', timeout: 15_000 });
  await stands(page, '127.0.0.1', 'waiting');
  obs = encoder(`${relay.url}/show`);
  await stands(page, '127.0.0.1', 'live');
  // Requests that failed are told on the console by the browser itself; nothing else may be.
  await isClean(page);
  await Promise.all([obs.end(), relay.end(), platform.end()]);
});
