// The connection to the relay: it is told of every change, comes back by itself, and says when it is not there.

import { batch, signal } from '@preact/signals';
import { ask, Problem, signedOut } from './calls';
import { Events, type Event } from './events';
import { begin, change, happened, missed } from './show';

/** The relay says something at least every 15 s; after this long it is not there. */
const SILENCE = 35_000;
const FIRST_WAIT = 500;
const LAST_WAIT = 5_000;

/** Whether what is shown is what is. */
export const connected = signal(false);
/** When the relay was last heard, on this machine's clock; never, at first. */
export const heardAt = signal<number | null>(null);
/** What was wrong with the last try. */
export const trouble = signal<string | null>(null);

/** The last entry of the journal that we have been told; before the first, all that is kept is wanted. */
let lastId = '0';

/** Listens to the relay as long as the page is open. */
export async function listen() {
  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LAST_WAIT)) {
    try {
      await hear(() => (wait = FIRST_WAIT / 2));
      trouble.value = 'the relay has closed the connection';
    } catch (error) {
      trouble.value = error instanceof Problem ? error.detail : 'the connection is lost';
    }
    connected.value = false;
    await (signedOut.value === null ? rest(wait * (0.75 + Math.random() / 2)) : signing());
  }
}

/** One connection, to its end. */
async function hear(isThere: () => void) {
  const over = new AbortController();
  let silence = setTimeout(() => over.abort(), SILENCE);
  try {
    const headers = { Accept: 'text/event-stream', 'Last-Event-ID': lastId };
    const response = await ask('/api/v1/events', { headers, signal: over.signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const events = new Events();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => over.abort(), SILENCE);
      // What comes together is drawn together.
      batch(() => {
        heardAt.value = Date.now();
        for (const event of events.push(value)) hearOf(event, isThere);
      });
    }
  } finally {
    clearTimeout(silence);
    over.abort();
  }
}

function hearOf(event: Event, isThere: () => void) {
  const told = JSON.parse(event.data);
  if (event.name === 'snapshot') {
    begin(told);
    connected.value = true;
    trouble.value = null;
    isThere();
  } else if (event.name === 'change') change(told);
  else if (event.name === 'event') {
    lastId = event.id ?? lastId;
    happened(told);
  } else if (event.name === 'missed') missed.value += told.missed;
}

/** Waits; not longer than until somebody looks at the page again. */
function rest(milliseconds: number): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(finish, milliseconds);
    function finish() {
      clearTimeout(timer);
      removeEventListener('online', finish);
      done();
    }
    addEventListener('online', finish);
  });
}

/** Waits until somebody has signed in. */
function signing(): Promise<void> {
  return new Promise((done) => {
    const stop = signedOut.subscribe((why) => {
      if (why === null) queueMicrotask(() => (stop(), done()));
    });
  });
}
