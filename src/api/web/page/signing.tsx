// Signing in: a relay that wants a token is told it by whoever opens the page. It is kept until this tab is closed.

import { useRef } from 'preact/hooks';
import { signedOut, signIn } from './calls';

export function Signing() {
  const field = useRef<HTMLInputElement>(null);
  const why = signedOut.value;
  function submit(event: SubmitEvent) {
    event.preventDefault();
    const token = field.current?.value.trim();
    if (token) signIn(token);
  }
  return (
    <main class="signing">
      <form onSubmit={submit}>
        <h1>Sign in</h1>
        <p>This relay shows itself to whoever has its token: what is set as api_token where it runs.</p>
        <div class={why === 'wrong_token' ? 'field wrong' : 'field'}>
          <label for="token">Token</label>
          <input
            ref={field}
            id="token"
            type="password"
            autocomplete="current-password"
            autofocus
            aria-invalid={why === 'wrong_token'}
            aria-describedby="token-hint"
          />
          <p
            id="token-hint"
            class={why === 'wrong_token' ? 'problem' : 'hint'}
            role={why === 'wrong_token' ? 'alert' : undefined}
          >
            {why === 'wrong_token'
              ? 'That is not the token.'
              : 'It is kept until this tab is closed, and in no cookie.'}
          </p>
        </div>
        <button type="submit" class="main">
          Sign in
        </button>
      </form>
    </main>
  );
}
