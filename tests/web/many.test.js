// Fifty destinations and twenty streams: all of them are there, can be found, and cost the browser little.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, isClean, open, stands } from './browser.js';
import { film, Relay, until } from './programs.js';

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

test('fifty destinations and twenty streams', async () => {
  const [platform, relay] = [await Relay.start({ api: 'off' }), await Relay.start()];
  const films = [];
  for (let number = 1; number <= 20; number++) films.push(film('clip.flv', `${relay.url}/camera-${number}`));
  for (let number = 0; number < 50; number++) {
    const source = `live/camera-${1 + (number % 20)}`;
    const url = number % 10 === 9 ? `rtmp://127.0.0.1:9/live/${number}` : `${platform.url}/${number}`;
    await relay.post('destinations', { name: `destination-${number}`, url, source_streams: [source] });
  }
  const page = await open(browser, relay.page);
  await page.locator('#verdict', { hasText: '45 of 50 live, 5 in trouble' }).waitFor();
  assert.equal(await page.locator('.stream').count(), 20);

  // Each row is drawn when it changes, and by itself: nodes stay what they are.
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const spent = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (name) => metrics.find((metric) => metric.name === name).value;
    return {
      script: of('ScriptDuration'),
      layout: of('LayoutDuration') + of('RecalcStyleDuration'),
      nodes: of('Nodes'),
    };
  };
  await page.evaluate(() => {
    globalThis.drawn = { added: 0, removed: 0, changes: 0 };
    new MutationObserver((records) => {
      for (const { type, addedNodes, removedNodes } of records) {
        globalThis.drawn.changes++;
        if (type === 'childList') {
          const elements = (nodes) =>
            [...nodes].filter((node) => node.nodeType === Node.ELEMENT_NODE && !node.closest?.('.chart, .journal'))
              .length;
          globalThis.drawn.added += elements(addedNodes);
          globalThis.drawn.removed += elements(removedNodes);
        }
      }
    }).observe(document.querySelector('.destinations'), { subtree: true, childList: true, characterData: true });
  });
  const [before, seconds] = [await spent(), 6];
  await new Promise((done) => setTimeout(done, seconds * 1000));
  const [now, drawn] = [await spent(), await page.evaluate(() => globalThis.drawn)];
  const share = (now.script - before.script + now.layout - before.layout) / seconds;
  console.log(
    `script and layout: ${(share * 100).toFixed(1)} % of a core; ${drawn.changes} texts changed, ${drawn.added} elements added`,
  );
  assert.ok(drawn.changes > 100, 'something happens');
  // Those that are tried again come and go between two states; the others stay.
  assert.ok(drawn.added < drawn.changes / 4, JSON.stringify(drawn));
  assert.ok(share < 0.5, `${share} of a core`);

  // They can be found.
  await page.getByRole('button', { name: /^Trouble 5$/ }).click();
  await until('five', async () => (await page.locator('.destinations > li').count()) === 5);
  await page.getByRole('button', { name: /^All 50$/ }).click();
  await page.getByRole('searchbox', { name: 'Search destinations' }).fill('destination-41');
  await until('the one', async () => (await page.locator('.destinations > li').count()) === 1);
  await stands(page, 'destination-41', 'live');
  // The line at the top leads to those that are in trouble, whatever was looked for.
  await page.locator('#verdict a').click();
  await until('five again', async () => (await page.locator('.destinations > li').count()) === 5);
  await isClean(page);
  await Promise.all([relay.kill(), platform.kill(), ...films.map((film) => film.kill())]);
});
