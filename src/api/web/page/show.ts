// The show: everything the relay has told of itself, in signals, so that a row is drawn again when it changes and no other is.

import { computed, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import type { Change, Destination, Entry, Recording, Session, Snapshot, Standing, State, Status, Stream } from './told';

/** How many entries of the journal are kept. */
const ENTRIES = 500;
/** Points of a history, one a second. */
const POINTS = 300;

/** Things by their key, in the order they were told. */
export class Table<T> {
  readonly keys = signal<string[]>([]);
  private readonly rows = new Map<string, Signal<T>>();

  constructor(private readonly key: (value: T) => string) {}

  /** The thing with this key, which is there. */
  row(key: string): Signal<T> {
    return this.rows.get(key) as Signal<T>;
  }

  get(key: string): T | undefined {
    return this.rows.get(key)?.value;
  }

  /** All of them. Whoever asks within a drawing is drawn again whenever one changes. */
  all(): T[] {
    return this.keys.value.map((key) => this.row(key).value);
  }

  replace(values: T[]) {
    const keys = values.map(this.key);
    const told = new Set(keys);
    values.forEach((value) => this.set(value));
    this.keys.value = [...told];
    for (const key of this.rows.keys()) if (!told.has(key)) this.rows.delete(key);
  }

  put(value: T) {
    if (this.set(value)) this.keys.value = [...this.keys.value, this.key(value)];
  }

  drop(gone: string) {
    this.keys.value = this.keys.value.filter((key) => key !== gone);
    this.rows.delete(gone);
  }

  /** Whether it is new. */
  private set(value: T): boolean {
    const key = this.key(value);
    const row = this.rows.get(key);
    if (row) row.value = value;
    else this.rows.set(key, signal(value));
    return !row;
  }
}

export const streams = new Table<Stream>((stream) => stream.name);
export const destinations = new Table<Destination>((destination) => destination.name);
export const recordings = new Table<Recording>((recording) => keyOfRecording(recording));
export const sessions = new Table<Session>((session) => String(session.id));
export const status = signal<Status | null>(null);
export const entries = signal<Entry[]>([]);
/** How many entries the relay has let go of before we were told. */
export const missed = signal(0);

/** A rule has a recording for each stream that it is for, and one without a stream as long as there is none. */
function keyOfRecording({ name, stream }: { name: string; stream?: string | null }): string {
  return stream ? `${name} ${stream}` : name;
}

/** How far the relay's clock is ahead of ours, in milliseconds. */
const ahead = signal(0);
const tick = signal(Date.now());
setInterval(() => (tick.value = Date.now()), 1000);

/** Now, on the relay's clock; it moves once a second. */
export const now: ReadonlySignal<number> = computed(() => tick.value + ahead.value);

/** All there is, told at the beginning of a connection. */
export function begin(snapshot: Snapshot) {
  streams.replace(snapshot.streams);
  destinations.replace(snapshot.destinations);
  recordings.replace(snapshot.recordings);
  sessions.replace(snapshot.sessions);
  learn(snapshot.status);
}

export function change(change: Change) {
  if ('gone' in change) {
    const gone = String(change.gone);
    if (change.kind === 'stream') streams.drop(gone);
    else if (change.kind === 'destination') destinations.drop(gone);
    else if (change.kind === 'recording') recordings.drop(keyOfRecording({ name: gone, stream: change.stream }));
    else sessions.drop(gone);
  } else if (change.kind === 'stream') streams.put(change.value);
  else if (change.kind === 'destination') destinations.put(change.value);
  else if (change.kind === 'recording') recordings.put(change.value);
  else if (change.kind === 'session') sessions.put(change.value);
  else learn(change.value);
}

export function happened(entry: Entry) {
  // After a new connection some come a second time.
  if (entries.value.some((known) => known.id === entry.id)) return;
  entries.value = [entry, ...entries.value].slice(0, ENTRIES);
}

function learn(told: Status) {
  status.value = told;
  ahead.value = Date.parse(told.started_at) + told.uptime_seconds * 1000 - Date.now();
}

/** One line of a history: the last five minutes, a point a second. */
export class History {
  readonly at: number[] = [];
  readonly values: (number | null)[] = [];

  add(at: number, value: number | null) {
    this.at.push(at);
    this.values.push(value);
    if (this.at.length > POINTS) {
      this.at.shift();
      this.values.shift();
    }
  }
}

const histories = new Map<string, History>();

/** The bitrate of a stream, or of what a destination is sent, since the page was opened. */
export function history(kind: 'stream' | 'destination', key: string): History {
  const id = `${kind} ${key}`;
  let history = histories.get(id);
  if (!history) histories.set(id, (history = new History()));
  return history;
}

setInterval(() => {
  const at = Math.round(now.peek() / 1000);
  const seen = new Set<string>();
  const add = (kind: 'stream' | 'destination', key: string, value: number | null) => {
    seen.add(`${kind} ${key}`);
    history(kind, key).add(at, value);
  };
  for (const key of streams.keys.peek()) add('stream', key, streams.row(key).peek().bitrate);
  for (const key of destinations.keys.peek()) {
    const rates = destinations
      .row(key)
      .peek()
      .streams.map((standing) => standing.bitrate);
    add(
      'destination',
      key,
      rates.reduce((sum, rate) => sum + rate, 0),
    );
  }
  for (const id of histories.keys()) if (!seen.has(id)) histories.delete(id);
}, 1000);

/** How much a state needs somebody: 3 to act, 2 to know, 1 nothing, 0 nothing at all. */
export function urgency(state: State): 0 | 1 | 2 | 3 {
  switch (state) {
    case 'rejected':
    case 'blocked':
      return 3;
    case 'backing_off':
    case 'degraded':
      return 2;
    case 'live':
    case 'connecting':
    case 'draining':
      return 1;
    case 'waiting':
    case 'disabled':
      return 0;
  }
}

/** The standing of a destination that needs somebody most. */
export function worst(destination: Destination): Standing | undefined {
  return destination.streams.reduce<Standing | undefined>(
    (worst, standing) => (worst && urgency(worst.state) >= urgency(standing.state) ? worst : standing),
    undefined,
  );
}

/** How many destinations there are in each state, by their worst. */
export const counts = computed(() => {
  const counts: Partial<Record<State, number>> = {};
  for (const destination of destinations.all()) {
    const state = worst(destination)?.state ?? (destination.enabled ? 'waiting' : 'disabled');
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
});
