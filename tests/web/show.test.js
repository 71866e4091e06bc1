// A show, run from the page alone.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { add, browse, isClean, open, row, stands } from './browser.js';
import { encoder, folder, Relay, until } from './programs.js';

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

test('a newcomer is led to the first live destination', async () => {
  const [platform, relay] = [await Relay.start({ api: 'off' }), await Relay.start()];
  const page = await open(browser, relay.page);
  await page.getByRole('heading', { name: 'Go live in three steps' }).waitFor();
  await add(page, { button: 'Another server', url: platform.url, key: 'CANARY-key', name: 'mine' });
  await stands(page, 'mine', 'waiting');
  await page.getByRole('heading', { name: 'Waiting for your encoder' }).waitFor();
  // What is to be pasted into OBS is what the encoder is given here.
  const server = await page.getByLabel('Server', { exact: true }).inputValue();
  assert.equal(server, relay.url);
  await browser.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: relay.page });
  await page.getByLabel('Name of the stream').fill('evening');
  await page.getByRole('button', { name: 'Copy stream key' }).click();
  const key = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(key, 'evening');
  const obs = encoder(`${server}/${key}`);
  await stands(page, 'mine', 'live');
  await page.locator('#verdict', { hasText: 'Live' }).waitFor();
  assert.equal(await page.getByText('Waiting for your encoder').count(), 0);
  const health = /640×360[^]*H\.264[^]*AAC/;
  await until('its health', async () => health.test(await page.locator('.stream').innerText()));
  // The key went in and is nowhere now.
  assert.ok(!(await page.content()).includes('CANARY'));
  const kept = () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]);
  assert.equal(await page.evaluate(kept), JSON.stringify([{}, {}, '']));
  await isClean(page);
  await Promise.all([obs.end(), relay.end(), platform.end()]);
});

test('a destination is added, goes live, is killed, comes back at once, is disabled and removed', async () => {
  let platform = await Relay.start({ api: 'off' });
  const relay = await Relay.start();
  const obs = encoder(`${relay.url}/show`);
  const page = await open(browser, relay.page);
  await add(page, { url: `${platform.url}/key`, name: 'platform' });
  await stands(page, 'platform', 'live');
  const sent = () => row(page, 'platform').locator('.figure', { hasText: 'Bitrate' }).locator('dd').innerText();
  await until('bytes that leave', async () => /^[1-9].* [kM]b\/s$/.test(await sent()));

  const died = platform.kill();
  const noticed = await stands(page, 'platform', 'backing_off');
  assert.ok(noticed < 2000, `the page has it after ${noticed} ms`);
  await died;
  const text = await row(page, 'platform').innerText();
  assert.match(text, /Trying again/);
  assert.match(text, /What to do: check the host and port/);
  await page.locator('#verdict', { hasText: '0 of 1 live, 1 in trouble' }).waitFor();
  // Until the waits are long enough to see one count down.
  await until('a countdown', async () => /Next try in [2-9] s/.test(await row(page, 'platform').innerText()));

  platform = await Relay.start({ port: platform.port, api: 'off' });
  const retry = page.getByRole('button', { name: 'Try now: platform' });
  await retry.click({ timeout: 2000 }).catch(() => {}); // it may have come back by itself in this moment
  await stands(page, 'platform', 'live', 10_000);
  await page.locator('#verdict.live').waitFor();
  assert.match(await row(page, 'platform').innerText(), /Reconnects\s*1/);

  await page.getByRole('button', { name: 'Disable platform' }).click();
  await stands(page, 'platform', 'disabled', 5000);
  await page.getByRole('button', { name: 'Enable platform' }).click();
  await stands(page, 'platform', 'live');

  await page.getByRole('button', { name: 'Remove platform' }).click();
  await page.getByRole('button', { name: 'Keep it' }).click();
  assert.equal(await row(page, 'platform').count(), 1);
  await page.getByRole('button', { name: 'Remove platform' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
  await row(page, 'platform').waitFor({ state: 'detached' });
  assert.deepEqual((await relay.get('destinations')).destinations, []);

  // All of it has been written down, and can be found.
  const journal = page.locator('.journal');
  await journal.getByText('platform is tried again with live/show').first().waitFor();
  await page.getByRole('combobox', { name: 'How bad at least' }).selectOption('Warnings and errors');
  await until('the bad only', async () => !/is published/.test(await journal.innerText()));
  await page.getByRole('combobox', { name: 'How bad at least' }).selectOption('Everything');
  await page.getByRole('searchbox', { name: 'Search in what has happened' }).fill('is published');
  await until('the one entry', async () => (await journal.locator('li').count()) === 1);
  await isClean(page);
  await Promise.all([obs.end(), relay.end(), platform.end()]);
});

test('what is to stay is in the configuration file, with its comments, and what is not is not', async () => {
  const file = path.join(folder, 'stays.yaml');
  fs.writeFileSync(file, '# my show\ndestinations:\n  - name: first\n    url: rtmp://127.0.0.1:9/live/first\n');
  const relay = await Relay.start({ args: ['--config', file] });
  const page = await open(browser, relay.page);
  await add(page, { url: 'rtmp://127.0.0.1:9/live', key: 'second-key', name: 'second' });
  await stands(page, 'second', 'waiting');
  assert.match(fs.readFileSync(file, 'utf8'), /^# my show[^]*name: "second"/);
  await page.getByRole('button', { name: 'Add a destination' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Server', { exact: true }).fill('rtmp://127.0.0.1:9/live/third');
  await dialog.getByLabel('Name', { exact: true }).fill('third');
  await dialog.getByLabel('Write it into the configuration file too').uncheck();
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await stands(page, 'third', 'waiting');
  assert.ok(!fs.readFileSync(file, 'utf8').includes('third'));
  await page.getByRole('button', { name: 'Remove first' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
  await row(page, 'first').waitFor({ state: 'detached' });
  assert.ok(!fs.readFileSync(file, 'utf8').includes('first'));
  await isClean(page);
  await relay.end();
});

test('a retry is made at once, and not when its time has come', async () => {
  // A server that says no to the key is asked again after a minute at last; who has put it right does not want to wait.
  const gate = await Relay.start({ api: 'off', env: { RTMP_RELAY_PUBLISH_KEY: 'right-key-for-this' } });
  const relay = await Relay.start();
  const obs = encoder(`${relay.url}/show`);
  const page = await open(browser, relay.page);
  await add(page, { url: `${gate.url}/show?key=wrong-key-for-this`, name: 'gate' });
  await stands(page, 'gate', 'rejected');
  await until('a wait of some seconds', async () =>
    /Next try in ([5-9]|\d\d) s/.test(await row(page, 'gate').innerText()),
  );
  assert.match(await row(page, 'gate').innerText(), /What to do: copy the stream key from the platform again/);
  const tries = async () => (await relay.get('destinations/gate')).streams[0].attempts;
  const before = await tries();
  await page.getByRole('button', { name: 'Try now: gate' }).click();
  await until('one more try', async () => (await tries()) > before, 3000);

  // The right key, by the form: nothing else has to be said again.
  await page.getByRole('button', { name: 'Edit gate' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Another server').fill(`${gate.url}/show?key=right-key-for-this`);
  await dialog.getByRole('button', { name: 'Save' }).click();
  await stands(page, 'gate', 'live');
  await isClean(page);
  await Promise.all([obs.end(), relay.end(), gate.end()]);
});

test('what is wrong in the form is said where it is, and nothing is lost', async () => {
  const relay = await Relay.start();
  const page = await open(browser, relay.page);
  await page.getByRole('button', { name: 'Another server' }).click();
  const dialog = page.getByRole('dialog');
  const save = dialog.getByRole('button', { name: 'Add', exact: true });
  await dialog.getByLabel('Server', { exact: true }).fill('http://example.org/CANARY');
  await dialog.getByLabel('Stream key').fill('CANARY');
  await dialog.getByLabel('Name', { exact: true }).fill('no such name!');
  await save.click();
  const field = dialog.getByLabel('Server', { exact: true });
  await until('the mark', async () => (await field.getAttribute('aria-invalid')) === 'true');
  assert.equal(await field.inputValue(), 'http://example.org/CANARY');
  assert.equal(await dialog.getByLabel('Stream key').getAttribute('type'), 'password');
  await field.fill('rtmp://127.0.0.1:9/live');
  await save.click();
  await until('the other mark', async () => (await dialog.getByLabel('Name').getAttribute('aria-invalid')) === 'true');
  assert.ok(!(await dialog.innerText()).includes('CANARY'));
  await dialog.getByLabel('Name', { exact: true }).fill('sound');
  await save.click();
  await stands(page, 'sound', 'waiting');
  // The platform's own servers are known, and the form says what its keys look like.
  await page
    .getByRole('button', { name: 'Add a destination' })
    .or(page.getByRole('button', { name: 'YouTube' }))
    .first()
    .click();
  await page.getByRole('dialog').getByLabel('Where to').selectOption('youtube');
  await page.getByRole('dialog').getByLabel('Stream key').fill('not one');
  await page.getByText('This does not look like a key of YouTube').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await isClean(page);
  await relay.end();
});

test('a show for five platforms is run from the page alone, its recording too', async () => {
  const platforms = await Promise.all([1, 2, 3, 4, 5].map(() => Relay.start({ api: 'off' })));
  const relay = await Relay.start({ args: ['--record-dir', folder] });
  const page = await open(browser, relay.page);
  for (const [number, platform] of platforms.entries()) {
    const button = number === 0 ? 'Another server' : 'Add a destination';
    await add(page, { button, url: platform.url, key: `key-${number}`, name: `platform-${number + 1}` });
  }
  const obs = encoder(`${relay.url}/show`);
  await page.locator('#verdict', { hasText: 'All 5 live' }).waitFor();
  await page.getByRole('button', { name: 'Record' }).click();
  await page.locator('.rows .chip', { hasText: 'Recording' }).waitFor();

  await platforms[1].kill();
  await stands(page, 'platform-2', 'backing_off', 2000);
  await page.locator('#verdict', { hasText: '4 of 5 live, 1 in trouble' }).waitFor();
  platforms[1] = await Relay.start({ port: platforms[1].port, api: 'off' });
  await page.locator('#verdict', { hasText: 'All 5 live' }).waitFor();
  const told = await relay.get('destinations');
  const reconnects = told.destinations.map((destination) => destination.streams[0].reconnects);
  assert.deepEqual(reconnects, [0, 1, 0, 0, 0], 'the others have not noticed');

  await page.getByRole('button', { name: 'Disable platform-5' }).click();
  await page.locator('#verdict', { hasText: 'All 4 live' }).waitFor();
  await page.getByRole('button', { name: 'Stop recording' }).click();
  await until('a whole recording', async () => (await relay.get('recordings')).recordings.length === 0);
  await obs.end();
  await page.locator('#verdict', { hasText: 'Nothing is published' }).waitFor();
  await isClean(page);
  await Promise.all([relay.end(), ...platforms.map((platform) => platform.end())]);
});
