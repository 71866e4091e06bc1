// Bits of the page that every part of it uses.

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { Problem } from './calls';
import { Icon } from './icon';
import { now } from './show';
import type { State } from './told';
import { moment, span, STATES } from './words';

/** Letters of others' texts that are shown. None of the relay's is longer; laying out much more takes a browser seconds. */
const LETTERS = 1000;

/** Text that somebody else has written: a name, an error. It stays within its place, whatever direction it is written in. */
export function Theirs({ children: text, clip = false }: { children: string; clip?: boolean }) {
  const shown = text.length > LETTERS ? `${text.slice(0, LETTERS).replace(/[\ud800-\udbff]$/, '')}…` : text;
  return (
    <bdi class={clip ? 'theirs clip' : 'theirs'} title={clip ? shown : undefined}>
      {shown}
    </bdi>
  );
}

/** A state, by shape, word and colour. */
export function Chip({ state, word }: { state: State | 'lost'; word?: string }) {
  return (
    <span class={`chip ${state}`}>
      <Icon state={state} />
      {word ?? STATES[state as State]}
    </span>
  );
}

/** How long ago, and going on. */
export function Since({ at }: { at: string }) {
  return (
    <time dateTime={at} title={moment(at)}>
      {span((now.value - Date.parse(at)) / 1000)}
    </time>
  );
}

/** How long until. */
export function Until({ at }: { at: string }) {
  const seconds = Math.ceil((Date.parse(at) - now.value) / 1000);
  return <span>{seconds > 0 ? `in ${span(seconds)}` : 'now'}</span>;
}

/** A number with what it is. */
export function Figure({
  what,
  children,
  wrong = false,
}: {
  what: string;
  children: ComponentChildren;
  wrong?: boolean;
}) {
  return (
    <div class={wrong ? 'figure wrong' : 'figure'}>
      <dt>{what}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What is said at the edge of the page for a while, and read out. */
export const notes = signal<{ id: number; text: string; bad: boolean }[]>([]);
let noted = 0;

export function note(text: string, bad = false) {
  const id = ++noted;
  notes.value = [...notes.value.slice(-3), { id, text, bad }];
  setTimeout(() => forget(id), bad ? 12_000 : 5_000);
}

export function forget(id: number) {
  notes.value = notes.value.filter((note) => note.id !== id);
}

/** A button that does something at the relay: it waits for the answer, and says what was wrong. */
export function Act(props: {
  children: ComponentChildren;
  label?: string;
  class?: string;
  pressed?: boolean;
  act: () => Promise<unknown>;
}) {
  const [busy, setBusy] = useState(false);
  async function act() {
    if (busy) return;
    setBusy(true);
    try {
      await props.act();
    } catch (error) {
      note(error instanceof Problem ? error.detail : String(error), true);
    } finally {
      setBusy(false);
    }
  }
  return (
    <button
      type="button"
      class={props.class}
      aria-label={props.label}
      aria-pressed={props.pressed}
      aria-busy={busy}
      onClick={act}
    >
      {props.children}
    </button>
  );
}

/** Text to be copied, and the button that does it. */
export function Copy({ what, text, id }: { what: string; text: string; id: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page that has not come over TLS, from another machine, has no clipboard but this one.
      field.current?.select();
      document.execCommand('copy');
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  }
  return (
    <div class="copy">
      <label for={id}>{what}</label>
      <input id={id} ref={field} readonly value={text} onFocus={() => field.current?.select()} />
      <button type="button" onClick={copy} aria-label={`Copy ${what.toLowerCase()}`}>
        <span aria-live="polite">{copied ? 'Copied' : 'Copy'}</span>
      </button>
    </div>
  );
}
