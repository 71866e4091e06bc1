// The page from which a show is run: built once, and drawn again where something changes.

import { render } from 'preact';
import { forget, notes } from './bits';
import { signedOut } from './calls';
import { listen } from './connection';
import { Destinations } from './destinations';
import { dialog } from './dialog';
import { Journal } from './journal';
import { status, streams } from './show';
import { Signing } from './signing';
import { Spoken } from './spoken';
import { Encoder, Start } from './start';
import { Recordings, Sessions, Streams } from './streams';
import { Stale, Top } from './top';

/** So many streams have room beside what they are sent to. */
const FEW = 3;

function Page() {
  if (signedOut.value !== null) return <Signing />;
  return (
    <>
      <Top />
      <Stale />
      {status.value && <Main />}
      {dialog.value}
      <Notes />
      <Spoken />
    </>
  );
}

/** A few streams stand beside everything else, many above it. */
function Main() {
  const few = streams.keys.value.length > 0 && streams.keys.value.length <= FEW;
  return (
    <main class={few ? 'beside' : ''}>
      <h1 class="unseen">rtmp-relay</h1>
      <Start />
      <div class="streaming">
        <Streams />
        <Recordings />
      </div>
      <div class="sending">
        <Destinations />
        <Journal />
        <Sessions />
        <Encoder />
      </div>
    </main>
  );
}

function Notes() {
  return (
    <div class="notes" role="status">
      {notes.value.map(({ id, text, bad }) => (
        <p key={id} class={bad ? 'bad' : ''}>
          <span>{text}</span>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => forget(id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}

render(<Page />, document.getElementById('page')!);
void listen();
