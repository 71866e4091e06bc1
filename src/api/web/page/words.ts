// Words and numbers, as people read them.

import type { Entry, State } from './told';

/** A state in words. */
export const STATES: Record<State, string> = {
  live: 'Live',
  degraded: 'Degraded',
  connecting: 'Connecting',
  backing_off: 'Trying again',
  rejected: 'Rejected',
  blocked: 'Blocked',
  waiting: 'Waiting',
  disabled: 'Off',
  draining: 'Ending',
};

/** A time span: `7 s`, `4:05`, `1:04:05`, `3 d 4:05:06`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const two = (n: number) => String(n).padStart(2, '0');
  const [hours, minutes, rest] = [Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const days = Math.floor(whole / 86_400);
  if (days) return `${days} d ${two(hours)}:${two(minutes)}`;
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Bits a second. */
export function rate(bits: number | null | undefined): string {
  if (bits === null || bits === undefined) return '–';
  if (bits >= 999_500) return `${(bits / 1e6).toFixed(bits >= 99_950_000 ? 0 : 1)} Mb/s`;
  return `${Math.round(bits / 1000)} kb/s`;
}

/** Bytes. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let unit = 0;
  for (; bytes >= 999.5 && unit < units.length - 1; unit++) bytes /= 1000;
  return `${unit === 0 || bytes >= 99.5 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

/** A short time: `0 ms`, `340 ms`, `2.1 s`. */
export function lag(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–';
  return seconds < 0.9995 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}

/** A count: `12,345`. */
export function count(number: number): string {
  return number.toLocaleString('en');
}

/** One thing or several. */
export function plural(number: number, one: string, more = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : more}`;
}

/** The time of day of a moment. */
export function clock(at: string | number): string {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

/** A moment, in full. */
export function moment(at: string | number): string {
  return new Date(at).toLocaleString();
}

/** A sentence: a capital letter at its beginning. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const HAPPENED = new Map(
  Object.entries({
    'relay.started': 'the relay has started',
    'relay.stopping': 'the relay is stopping',
    'config.changed': 'the configuration has changed',
    'publish.started': 'is published',
    'publish.resumed': 'is published again',
    'publish.replaced': 'is published by another encoder',
    'publish.lost': 'has lost its encoder',
    'publish.ended': 'has ended',
    'destination.disabled': 'is off',
    'destination.waiting': 'waits for a stream',
    'destination.connecting': 'is connecting',
    'destination.live': 'is live',
    'destination.degraded': 'is degraded',
    'destination.backing_off': 'is tried again',
    'destination.rejected': 'is rejected',
    'destination.blocked': 'is blocked',
    'destination.draining': 'is ending',
    'destination.dropped': 'has frames left out',
    'destination.advice': 'has advice',
    'recording.started': 'has begun a file',
    'recording.ended': 'has completed a file',
    'recording.failed': 'cannot be written',
    'player.started': 'is played by',
    'player.ended': 'is no longer played by',
  }),
);

/** What an entry of the journal says has happened. */
export function happening(entry: Entry): string {
  return HAPPENED.get(entry.code) ?? entry.code;
}
