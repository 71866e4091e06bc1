// How the page looks, on a desk and on a phone, by day and by night; and whether everybody can use it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createRequire } from 'node:module';
import { browse, isClean, open, row, stands } from './browser.js';
import { encoder, film, folder, freePort, Relay, until } from './programs.js';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Where pictures are left for people. */
const PICTURES = process.env.PICTURES ?? folder;
fs.mkdirSync(PICTURES, { recursive: true });

/** A show with something of everything: live, rejected, tried again, off, waiting, recorded. */
let relay;
let programs;
before(async () => {
  const [platform, gate] = await Promise.all([
    Relay.start({ api: 'off' }),
    Relay.start({ api: 'off', env: { RTMP_RELAY_PUBLISH_KEY: 'a-key-for-the-gate' } }),
  ]);
  const config = path.join(folder, 'relay.yaml');
  const nobody = await freePort();
  const destination = (name, url, more = '') =>
    `  - name: ${name}\n    url: ${url}\n    source_streams: ["live/show"]\n${more}`;
  fs.writeFileSync(
    config,
    'destinations:\n' +
      destination('youtube', `${platform.url}/youtube`, '    platform: youtube\n') +
      destination('twitch', `${platform.url}/twitch`, '    platform: twitch\n') +
      destination('facebook', `${gate.url}/facebook`, '    platform: facebook\n') +
      destination('archive', `rtmp://127.0.0.1:${nobody}/live/archive`) +
      destination('kick', `${platform.url}/kick`, '    platform: kick\n') +
      destination('studio', `${platform.url}/studio`, '    enabled: false\n') +
      `  - name: second-stage\n    url: ${platform.url}/stage\n    source_streams: ["live/stage"]\n`,
  );
  relay = await Relay.start({ args: ['--config', config, '--record-dir', folder] });
  programs = [platform, gate, encoder(`${relay.url}/show`), film('clip.flv', `${relay.url}/camera`)];
  await until('the streams', async () => (await relay.get('streams')).streams.length === 2);
  await relay.post('recordings', { stream: 'live/show' });
});
after(() => Promise.all([relay, ...programs].map((program) => program.end())));

const VIEWS = {
  desk: { viewport: { width: 1440, height: 1000 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
};

/** What axe-core has against the page that is serious. */
async function serious(page) {
  const found = await page.evaluate(async (axe) => {
    // The page's policy lets no script in; what comes from here is none of the page's.
    globalThis.axe ?? (0, eval)(axe);
    return (await globalThis.axe.run()).violations;
  }, AXE);
  const bad = found.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return bad.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 120)} ${node.failureSummary}`).join('; ')}`,
  );
}

for (const [view, size] of Object.entries(VIEWS)) {
  for (const colorScheme of ['light', 'dark']) {
    test(`on a ${view}, ${colorScheme}: nothing is in anybody's way`, async () => {
      const browser = await browse({ ...size, colorScheme, reducedMotion: 'reduce', bypassCSP: true });
      const page = await open(browser, relay.page);
      await stands(page, 'youtube', 'live');
      await stands(page, 'facebook', 'rejected');
      await page.locator('.stream', { hasText: 'live/show' }).getByRole('button', { name: 'Show picture' }).click();
      await page.waitForFunction(() => document.querySelector('video')?.currentTime > 1);
      await until('a history', () => page.evaluate(() => document.querySelectorAll('.chart canvas').length >= 2));
      const over = await page.evaluate(
        () => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
      );
      assert.equal(over, 0, 'it is as wide as the window');
      assert.deepEqual(await serious(page), []);
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: path.join(PICTURES, `${view}-${colorScheme}.png`), fullPage: view === 'phone' });
      // With everything open that can be.
      await page.evaluate(() => {
        document.querySelectorAll('details').forEach((details) => (details.open = true));
        document.querySelectorAll('[aria-expanded=false]').forEach((button) => button.click());
      });
      await row(page, 'archive').locator('.chart').scrollIntoViewIfNeeded();
      await row(page, 'archive').locator('.chart canvas').waitFor();
      assert.deepEqual(await serious(page), []);
      for (const button of ['Add a destination', 'Edit youtube', 'Remove youtube']) {
        await page.getByRole('button', { name: button }).click();
        await page.getByRole('dialog').waitFor();
        assert.deepEqual(await serious(page), [], button);
        if (button === 'Add a destination') {
          await page.getByLabel('Where to').selectOption('twitch');
          await page.screenshot({ path: path.join(PICTURES, `${view}-${colorScheme}-form.png`) });
        }
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'detached' });
      }
      // Fingers are larger than pointers.
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('button, summary, select')]
          .filter(
            (element) => element.getBoundingClientRect().height > 0 && element.getBoundingClientRect().height < 24,
          )
          .map((element) => element.outerHTML.slice(0, 100)),
      );
      assert.deepEqual(small, []);
      await isClean(page);
      await browser.close();
    });
  }
}

test('before anything is there, the page shows where to begin', async () => {
  const empty = await Relay.start();
  const browser = await browse({ ...VIEWS.phone, colorScheme: 'light', bypassCSP: true });
  const page = await open(browser, empty.page);
  await page.getByRole('button', { name: 'YouTube' }).waitFor();
  assert.deepEqual(await serious(page), []);
  await page.screenshot({ path: path.join(PICTURES, 'phone-light-start.png'), fullPage: true });
  await empty.kill();
  await page.locator('.stale-banner').waitFor();
  assert.deepEqual(await serious(page), []);
  await page.screenshot({ path: path.join(PICTURES, 'phone-light-gone.png') });
  await browser.close();
});

test('the keyboard reaches everything, and one sees where it is', async () => {
  const browser = await browse({ colorScheme: 'dark' });
  const page = await open(browser, relay.page);
  await stands(page, 'youtube', 'live');
  const reached = new Set();
  for (let presses = 0; presses < 120; presses++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body) return null;
      const style = getComputedStyle(element);
      return {
        name: element.getAttribute('aria-label') ?? element.textContent.trim(),
        seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
      };
    });
    if (!at) break;
    assert.ok(at.seen, `the focus on ${at.name} is not to be seen`);
    reached.add(at.name);
  }
  for (const name of [
    'Add a destination',
    'Details of youtube',
    'Disable youtube',
    'Edit youtube',
    'Remove youtube',
    'Try now: facebook',
    'Show picture',
    'Stop recording',
  ]) {
    assert.ok(reached.has(name), `${name} is not among ${[...reached].join(', ')}`);
  }
  // A dialog keeps the focus, gives it back, and is left with Escape; Enter does what is written on the button.
  await page.getByRole('button', { name: 'Remove kick' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Keep it');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Remove kick');
  // What changes is read out, in few words.
  await page.getByRole('button', { name: 'Disable kick' }).click();
  await page.locator('[aria-live=polite]', { hasText: 'kick: Off' }).waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Enable kick' }).click();
  await isClean(page);
  await browser.close();
});
