// Icons: a shape for each state, so that no state is told by its colour alone.

import type { State } from './told';

const SHAPES: Record<State | 'lost', preact.JSX.Element> = {
  live: <circle cx="8" cy="8" r="6" fill="currentColor" />,
  degraded: (
    <>
      <circle cx="8" cy="8" r="6" class="line" />
      <path d="M8 2a6 6 0 0 0 0 12z" fill="currentColor" />
    </>
  ),
  connecting: <circle cx="8" cy="8" r="6" class="line dashed" />,
  backing_off: <path d="M13.5 8A5.5 5.5 0 1 1 11 3.4M11 .8v3H8" class="line" />,
  rejected: <path d="M3 3l10 10M13 3 3 13" class="line thick" />,
  blocked: <path d="M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM3.6 3.6l8.8 8.8" class="line" />,
  waiting: <circle cx="8" cy="8" r="5.8" class="line" />,
  disabled: <path d="M3 8h10" class="line thick" />,
  draining: <path d="M8 2v9M4 7.5 8 11.5l4-4M3 14h10" class="line" />,
  lost: <path d="M8 1.5 15 14H1zM8 6v4M8 11.8v.4" class="line" />,
};

export function Icon({ state }: { state: State | 'lost' }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      {SHAPES[state]}
    </svg>
  );
}
