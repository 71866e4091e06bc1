// The forms about a destination: to add one, to change one, to remove one. Keys go in and never come out.

import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { note, Theirs } from './bits';
import { call, Problem } from './calls';
import { close, Dialog } from './dialog';
import { destinations, status } from './show';
import type { Config, Destination, Platform } from './told';

let platforms: Promise<Platform[]> | undefined;

/** What the relay knows of platforms; asked once. */
export function known(): Promise<Platform[]> {
  platforms ??= call<{ platforms: Platform[] }>('GET', 'platforms').then((told) => told.platforms);
  platforms.catch(() => (platforms = undefined));
  return platforms;
}

export function usePlatforms(): Platform[] {
  const [all, setAll] = useState<Platform[]>([]);
  useEffect(() => {
    let here = true;
    known().then(
      (all) => here && setAll(all),
      () => {},
    );
    return () => void (here = false);
  }, []);
  return all;
}

type Wrong = Record<string, string>;

/** What is wrong, by the field it is about; `''` is the whole form. */
function wrongs(error: unknown): Wrong {
  if (!(error instanceof Problem)) return { '': String(error) };
  const parts = error.parts.length ? error.parts : [{ detail: error.detail, field: error.field }];
  const wrong: Wrong = {};
  for (const { detail, field } of parts) {
    const at = (FIELDS as readonly string[]).includes(field ?? '') ? field! : '';
    wrong[at] = wrong[at] ? `${wrong[at]}; ${detail}` : detail;
  }
  return wrong;
}

const FIELDS = ['platform', 'name', 'url', 'stream_key', 'source_streams', 'max_bitrate'] as const;

/** Adds a destination, or changes the one there was `before`. */
export function Write({ before, preset }: { before?: Destination; preset?: string }) {
  const all = usePlatforms();
  const form = useRef<HTMLFormElement>(null);
  const [platformId, setPlatform] = useState(before?.platform ?? preset ?? '');
  const [elsewhere, setElsewhere] = useState(false);
  const [wrong, setWrong] = useState<Wrong>({});
  const [busy, setBusy] = useState(false);
  const [odd, setOdd] = useState(false);
  const limit = useLimit(before?.name);
  const platform = all.find((platform) => platform.id === platformId);
  const wantsUrl = before !== undefined || !platform?.url || elsewhere;

  // What is wrong is where one is.
  useEffect(() => {
    if (Object.keys(wrong).length)
      form.current?.querySelector<HTMLElement>('[aria-invalid=true], [role=alert]')?.focus();
  }, [wrong]);

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    if (busy) return;
    const given = new FormData(form.current!);
    const text = (field: string) => String(given.get(field) ?? '').trim();
    const sources = text('source_streams')
      .split(/[\s,]+/)
      .filter(Boolean);
    const body: Record<string, unknown> = {};
    if (text('url')) body.url = text('url');
    if (text('stream_key')) body.stream_key = text('stream_key');
    if (before) {
      if (sources.join() !== before.source_streams.join()) body.source_streams = sources.length ? sources : null;
      if (text('max_bitrate') !== limit) body.max_bitrate = text('max_bitrate') || null;
    } else {
      if (platformId) body.platform = platformId;
      if (text('name')) body.name = text('name');
      if (sources.length) body.source_streams = sources;
      if (text('max_bitrate')) body.max_bitrate = text('max_bitrate');
    }
    if (given.get('persist')) body.persist = true;
    setBusy(true);
    try {
      if (before) await call('PATCH', `destinations/${encodeURIComponent(before.name)}`, body);
      else {
        const added = await call<Destination>('POST', 'destinations', body);
        note(`${added.name} is added`);
      }
      close();
    } catch (error) {
      setWrong(wrongs(error));
      setBusy(false);
    }
  }

  /** Whether a key looks like one of the platform's. It is a hint and no more: nobody knows all of their keys. */
  function check(key: string) {
    const shape = platform?.key?.shape;
    setOdd(Boolean(shape && key && !new RegExp(`^(?:${shape})$`).test(key.trim().replace(/\?.*$/s, ''))));
  }

  const field = { wrong };
  return (
    <Dialog title={before ? `Edit ${before.name}` : 'Add a destination'}>
      <form ref={form} onSubmit={submit} noValidate autocomplete="off">
        {!before && (
          <Field of="platform" label="Where to" {...field}>
            {(input) => (
              <select {...input} value={platformId} onChange={(event) => setPlatform(event.currentTarget.value)}>
                <option value="">A server of my choice (URL)</option>
                {all.map((platform) => (
                  <option key={platform.id} value={platform.id}>
                    {platform.name}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
        {wantsUrl && (
          <Field
            of="url"
            label={before ? 'Another server' : 'Server'}
            hint={
              before
                ? `Empty: it stays at ${before.server}. Another server needs the key again.`
                : (platform && !platform.url ? `${platform.name} shows one for each broadcast. ` : '') +
                  'As in rtmps://host/app; the key may stand behind it.'
            }
            {...field}
          >
            {(input) => (
              <input
                {...input}
                type="text"
                inputMode="url"
                spellcheck={false}
                autocapitalize="off"
                placeholder={platform?.url_example ?? 'rtmp://host/app'}
              />
            )}
          </Field>
        )}
        <Field
          of="stream_key"
          label={before ? 'Another stream key' : 'Stream key'}
          hint={
            odd
              ? `This does not look like a key of ${platform?.name}, which is like ${platform?.key?.example}. It is tried all the same.`
              : before
                ? 'Empty: the key stays as it is. It is never shown.'
                : 'It is never shown again, neither here nor in the log.'
          }
          {...field}
        >
          {(input) => (
            <input
              {...input}
              type="password"
              autocomplete="off"
              data-1p-ignore
              data-lpignore="true"
              spellcheck={false}
              onInput={(event) => check(event.currentTarget.value)}
            />
          )}
        </Field>
        {!before && (
          <Field of="name" label="Name" hint="What it is called here, in the log and in messages." {...field}>
            {(input) => (
              <input
                {...input}
                type="text"
                spellcheck={false}
                autocapitalize="off"
                key={platformId}
                defaultValue={free(platformId)}
                placeholder="the server's name"
              />
            )}
          </Field>
        )}
        <details open={Boolean(wrong.source_streams || wrong.max_bitrate)}>
          <summary>More</summary>
          <Field
            of="source_streams"
            label="Which streams"
            hint="As in live/show or live/*; several with spaces between them. Empty: all."
            {...field}
          >
            {(input) => (
              <input
                {...input}
                type="text"
                spellcheck={false}
                autocapitalize="off"
                defaultValue={before?.source_streams.join(' ') ?? ''}
                placeholder="all"
              />
            )}
          </Field>
          <Field
            of="max_bitrate"
            label="Highest bitrate"
            hint="As in 8M. A stream that has more is not sent there. Empty: any."
            {...field}
          >
            {(input) => (
              <input {...input} type="text" spellcheck={false} key={limit} defaultValue={limit} placeholder="any" />
            )}
          </Field>
          {!before && platform?.url && (
            <label class="check">
              <input
                type="checkbox"
                checked={elsewhere}
                onChange={(event) => setElsewhere(event.currentTarget.checked)}
              />
              Another server of {platform.name}
            </label>
          )}
        </details>
        <Persist
          from={before?.from ?? 'file'}
          what={before ? 'Change it in the configuration file too' : 'Write it into the configuration file too'}
        />
        {wrong[''] && (
          <p class="problem" role="alert" tabIndex={-1}>
            <Theirs>{wrong['']}</Theirs>
          </p>
        )}
        <div class="actions end">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="main" aria-busy={busy}>
            {before ? 'Save' : 'Add'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** A name like the platform's that no destination has. */
function free(wanted: string): string {
  if (!wanted) return '';
  const taken = new Set(destinations.keys.peek());
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    if (!taken.has(name)) return name;
  }
}

/** The highest bitrate that a destination may have now, as text. */
function useLimit(name: string | undefined): string {
  const [limit, setLimit] = useState('');
  useEffect(() => {
    if (name === undefined) return;
    call<Config>('GET', 'config').then(
      (config) => {
        const bits = config.destinations.find((destination) => destination.name === name)?.max_bitrate;
        if (bits) setLimit(String(bits));
      },
      () => {},
    );
  }, [name]);
  return limit;
}

/** Whether it is to stay when the relay starts again. */
function Persist({ from, what }: { from: Destination['from']; what: string }) {
  if (!status.value?.config_file) {
    return <p class="quiet">The relay has no configuration file: this is in force until it ends.</p>;
  }
  return (
    <label class="check">
      <input type="checkbox" name="persist" value="true" defaultChecked={from === 'file'} />
      {what}
    </label>
  );
}

interface Input {
  id: string;
  name: string;
  'aria-invalid': boolean;
  'aria-describedby': string;
}

/** A field with its label, what there is to know about it, and what is wrong with it. */
function Field(props: {
  of: string;
  label: string;
  hint?: string;
  wrong: Wrong;
  children: (input: Input) => preact.JSX.Element;
}) {
  const id = useId();
  const wrong = props.wrong[props.of];
  return (
    <div class={wrong ? 'field wrong' : 'field'}>
      <label for={id}>{props.label}</label>
      {props.children({ id, name: props.of, 'aria-invalid': Boolean(wrong), 'aria-describedby': `${id}-hint` })}
      <p id={`${id}-hint`} class={wrong ? 'problem' : 'hint'}>
        {wrong ? <Theirs>{wrong}</Theirs> : props.hint}
      </p>
    </div>
  );
}

/** Asks before a destination is removed. */
export function Remove({ destination }: { destination: Destination }) {
  const form = useRef<HTMLFormElement>(null);
  const [wrong, setWrong] = useState('');
  const live = destination.streams.some((standing) => standing.state === 'live');
  async function submit(event: SubmitEvent) {
    event.preventDefault();
    const persist = new FormData(form.current!).get('persist') ? '?persist=true' : '';
    try {
      await call('DELETE', `destinations/${encodeURIComponent(destination.name)}${persist}`);
      note(`${destination.name} is removed`);
      close();
    } catch (error) {
      setWrong(error instanceof Problem ? error.detail : String(error));
    }
  }
  return (
    <Dialog title={`Remove ${destination.name}?`}>
      <form ref={form} onSubmit={submit}>
        <p>
          {live ? 'It is live: its viewers see the end of the stream. ' : ''}
          Its key is forgotten; to have it back, it has to be added again.
        </p>
        {destination.from === 'file' && <Persist from="file" what="Remove it from the configuration file too" />}
        {wrong && (
          <p class="problem" role="alert">
            {wrong}
          </p>
        )}
        <div class="actions end">
          <button type="button" onClick={close} autofocus>
            Keep it
          </button>
          <button type="submit" class="danger">
            Remove
          </button>
        </div>
      </form>
    </Dialog>
  );
}
