// Names and texts of others: whatever they are, they are shown as text, in their place.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, isClean, open } from './browser.js';
import { hostile } from './hostile.js';
import { Relay, until } from './programs.js';
import { publish } from './rtmp.js';

let browser;
before(async () => (browser = await browse()));
after(() => browser?.close());

/** What is shown of a text: all of it, unless it is longer than anything that a relay says. */
const shown = (text) => (text.length > 1000 ? `${text.slice(0, 1000).replace(/[\ud800-\udbff]$/, '')}…` : text);

/** That nothing on the page is more than the page has meant it to be, and nothing leaves its place. */
async function isTame(page) {
  const found = await page.evaluate(() => ({
    strangers: [
      ...document.querySelectorAll('script, iframe, base, form, style, link, meta, math, object, embed, a, img'),
    ]
      .map((element) => element.outerHTML.slice(0, 200))
      .filter(
        (html) => !/^<(script type="module"|meta |link |img src="\/icon\.svg"|a href="#destinations")/.test(html),
      ),
    handlers: [...document.querySelectorAll('*')].filter((element) =>
      element.getAttributeNames().some((name) => name.startsWith('on')),
    ).length,
    wide: [...document.querySelectorAll('main *, .top *')]
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.clip'))
      .map((element) => element.outerHTML.slice(0, 120))
      .slice(0, 5),
    wider: document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
    loose: [...document.querySelectorAll('.theirs')].filter(
      (element) => !getComputedStyle(element).unicodeBidi.startsWith('isolate'),
    ).length,
    direction: getComputedStyle(document.querySelector('main')).direction,
  }));
  assert.deepEqual(found, { strangers: [], handlers: 0, wide: [], wider: 0, loose: 0, direction: 'ltr' });
  await isClean(page);
}

test('streams with hostile names, of encoders with hostile names, over the wire', async () => {
  const relay = await Relay.start();
  // What makes no stream name is left out by the relay, and what stands behind a ? is a query.
  const names = hostile().map((text, number) =>
    `${number} ${text}`.replaceAll(/[\u0000-\u001f\u007f-\u009f?]/g, '').slice(0, 160),
  );
  const ends = [];
  for (const name of names) ends.push(await publish(relay.port, 'live', name, name));
  const told = await until('all that are names', async () => {
    const { streams } = await relay.get('streams');
    return streams.length > 150 && streams.filter((stream) => stream.publisher).length === streams.length && streams;
  });
  const page = await open(browser, relay.page);
  await until('as many cards', async () => (await page.locator('.stream').count()) === told.length);
  const shown = await page.locator('.stream h3').evaluateAll((all) => all.map((heading) => heading.textContent));
  assert.deepEqual(shown.toSorted(), told.map((stream) => stream.name).toSorted());
  await page.getByText('Connections').click();
  await isTame(page);
  // In full, with what the encoders call themselves.
  await page.evaluate(() => document.querySelectorAll('.stream button:last-child').forEach((more) => more.click()));
  const sources = await page.locator('.stream .from bdi').evaluateAll((all) => all.map((source) => source.textContent));
  assert.deepEqual(
    sources.toSorted(),
    told.map(({ publisher }) => `From ${publisher.peer}, ${publisher.agent}`).toSorted(),
  );
  await page.setViewportSize({ width: 390, height: 844 });
  await isTame(page);
  ends.forEach((end) => end());
  await relay.end();
});

test('errors, reasons, advice and entries of the journal, by a relay that passes everything on', async () => {
  // Our relay repeats no word of a server's. The page does not rely on it.
  const relay = await Relay.start();
  const texts = hostile();
  const at = new Date().toISOString();
  const standing = (text, number) => ({
    stream: text,
    state: number % 2 ? 'live' : 'rejected',
    since_at: at,
    reason: `reason ${text}`,
    error: { class: text, text, advice: text, failed_at: at },
    retry_at: at,
    attempts: 2,
    reconnects: 1,
    bytes_sent: 1,
    dropped_frames: { [text]: 1 },
    bitrate: 0,
    lag_seconds: 0,
    connected_seconds: 1,
    unannounced: [text],
    advice: [{ matter: text, text, refused: true, confirmed: false }],
  });
  const destinations = texts.map((text, number) => ({
    name: `${number} ${text}`,
    enabled: true,
    server: text,
    platform: text,
    source_streams: [text],
    from: 'api',
    streams: [standing(text, number)],
  }));
  const recordings = texts.map((text) => ({
    name: text,
    stream: text,
    state: 'failed',
    file: text,
    bytes: 1,
    error: text,
    from: 'api',
  }));
  const sessions = texts.map((text, id) => ({
    id,
    role: 'play',
    stream: text,
    peer: text,
    tls: true,
    since_at: at,
    bytes: 1,
  }));
  const snapshot = { streams: [], destinations, recordings, sessions, status: await relay.get('status') };
  const entries = texts.map((text, number) => ({
    id: number + 1,
    at,
    severity: 'error',
    code: text,
    destination: text,
    stream: text,
    file: text,
    class: text,
    text,
    peer: text,
  }));
  const body = [`event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`]
    .concat(entries.map((entry) => `id: ${entry.id}\nevent: event\ndata: ${JSON.stringify(entry)}\n\n`))
    .join('');
  const context = await browse({ viewport: { width: 390, height: 844 } });
  await context.addInitScript((body) => {
    const real = globalThis.fetch;
    const told = () =>
      new Response(new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode(body)) }));
    globalThis.fetch = (path, init) => (path === '/api/v1/events' ? Promise.resolve(told()) : real(path, init));
  }, body);
  const page = await open(context, relay.page);
  await until('all rows', async () => (await page.locator('.destinations > li').count()) === texts.length);
  const errors = await page
    .locator('.destinations .problem > bdi')
    .evaluateAll((all) => all.map((error) => error.textContent));
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  const isWrong = (_, number) => number % 2 === 0;
  assert.deepEqual(errors, texts.filter(isWrong).map(capital).map(shown));
  // What has been wrong is among the details of those that are well again.
  await page.evaluate(() => document.querySelectorAll('[aria-expanded=false]').forEach((button) => button.click()));
  const were = await page
    .locator('.more > p', { hasText: 'Last error' })
    .locator('bdi:first-of-type')
    .allTextContents();
  assert.deepEqual(were, texts.filter((...text) => !isWrong(...text)).map(shown));
  const names = await page.locator('.destinations h3').evaluateAll((all) => all.map((name) => name.textContent));
  assert.deepEqual(
    names,
    destinations.map(({ name }) => shown(name)),
  );
  await page.getByText('Connections').click();
  await isTame(page);
  // None is so long that the others are lost.
  const tallest = await page
    .locator('.destinations > li')
    .evaluateAll((all) => Math.max(...all.map((row) => row.offsetHeight)));
  assert.ok(tallest < 1500, `${tallest} px`);
  // The dialogs repeat names too.
  await page.locator('.destinations > li').nth(2).locator('.actions button').last().click();
  await page.locator('dialog button', { hasText: 'Keep it' }).click();
  await isTame(page);
  await context.close();
  await relay.end();
});
