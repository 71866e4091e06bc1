// What is read out to those who listen to the page: changes of state, gathered for some seconds, a few words each.

import { effect, signal } from '@preact/signals';
import { connected } from './connection';
import { destinations, streams, worst } from './show';
import { plural, STATES } from './words';

/** Changes that come within this time are one message. */
const GATHER = 1_500;
/** More of them than this are counted only. */
const NAMED = 3;

const said = signal('');
const before = new Map<string, string>();
const changed = new Map<string, string>();
let timer: ReturnType<typeof setTimeout> | undefined;

effect(() => {
  const now = new Map<string, string>();
  for (const destination of destinations.all()) {
    const state = worst(destination)?.state;
    if (state) now.set(`destination ${destination.name}`, `${destination.name}: ${STATES[state]}`);
  }
  for (const stream of streams.all()) now.set(`stream ${stream.name}`, `Stream ${stream.name}: ${stream.state}`);
  // What is there at first is on the page.
  if (connected.peek() && before.size) {
    for (const [key, words] of now) if (before.get(key) !== words) changed.set(key, words);
    for (const key of before.keys()) {
      if (key.startsWith('stream ') && !now.has(key)) changed.set(key, `Stream ${key.slice(7)} has ended`);
    }
  }
  before.clear();
  now.forEach((words, key) => before.set(key, words));
  if (changed.size && !timer) timer = setTimeout(say, GATHER);
});

function say() {
  timer = undefined;
  const all = [...changed.values()];
  changed.clear();
  said.value = all.length > NAMED ? `${plural(all.length, 'change')} of state.` : `${all.join('. ')}.`;
}

export function Spoken() {
  return (
    <p class="unseen" aria-live="polite">
      {said.value}
    </p>
  );
}
