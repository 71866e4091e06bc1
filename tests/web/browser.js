// A real browser, and pages in it that keep book of everything they may not do.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { folder, PATIENCE } from './programs.js';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A browser without a past. */
export async function browse(options = {}) {
  const data = fs.mkdtempSync(path.join(folder, 'chromium-'));
  const context = await chromium.launchPersistentContext(data, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    viewport: { width: 1440, height: 900 },
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  return context;
}

/**
 * The relay's page. `page.sins` is what it has done that it may not: errors, requests to others, breaches of its policy. An answer
 * that says no is none: what a test asks for may be refused.
 */
export async function open(context, url) {
  const page = await context.newPage();
  page.sins = [];
  page.on('pageerror', (error) => page.sins.push(`error: ${error}`));
  page.on('console', (message) => {
    const refused = /Failed to load resource/.test(message.text());
    if (['error', 'warning'].includes(message.type()) && !refused) page.sins.push(`console: ${message.text()}`);
  });
  page.on('dialog', (dialog) => {
    page.sins.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const to = new URL(request.url());
    if (!['data:', 'blob:'].includes(to.protocol) && to.origin !== new URL(url).origin)
      page.sins.push(`request: ${to}`);
  });
  await page.addInitScript(() => {
    globalThis.breaches = [];
    addEventListener('securitypolicyviolation', (breach) => globalThis.breaches.push(breach.violatedDirective));
  });
  await page.goto(url);
  return page;
}

/** Nothing that may not be has been. */
export async function isClean(page) {
  const breaches = await page.evaluate(() => globalThis.breaches);
  assert.deepEqual([...page.sins, ...breaches], []);
}

/** The row of a destination. */
export function row(page, name) {
  return page.locator(`.destinations > li[data-name="${name}"]`);
}

/** Waits until a destination stands so, and says how long that took, in milliseconds. */
export async function stands(page, name, state, limit = PATIENCE) {
  const began = Date.now();
  await page.locator(`.destinations > li[data-name="${name}"][data-state="${state}"]`).waitFor({ timeout: limit });
  return Date.now() - began;
}

/** Adds a destination by the form, as a person would. */
export async function add(page, { platform, url, key, name, button = 'Add a destination' }) {
  await page.getByRole('button', { name: button }).click();
  const dialog = page.getByRole('dialog');
  if (platform) await dialog.getByLabel('Where to').selectOption(platform);
  if (url) await dialog.getByLabel('Server', { exact: true }).fill(url);
  if (key) await dialog.getByLabel('Stream key').fill(key);
  if (name) await dialog.getByLabel('Name', { exact: true }).fill(name);
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
}
