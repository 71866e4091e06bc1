// A chart of a history. uPlot is loaded with the first of them; one that nobody sees is not drawn.

import { useEffect, useRef } from 'preact/hooks';
import { history, now } from './show';
import { rate } from './words';

const HEIGHT = 84;
/** What could not be loaded is asked for again after this long. */
const RETRY = 4_000;

export function Chart({ kind, of, what }: { kind: 'stream' | 'destination'; of: string; what: string }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    return element ? draw(element, kind, of) : undefined;
  }, [kind, of]);
  return <div class="chart" ref={place} role="img" aria-label={`${what} over the last five minutes`} />;
}

/** Draws, and goes on drawing. What is returned ends it. */
function draw(element: HTMLElement, kind: 'stream' | 'destination', of: string): () => void {
  let over = false;
  let seen = false;
  let plot: import('uplot') | undefined;
  let dispose = () => {};
  let again: ReturnType<typeof setTimeout> | undefined;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const sight = new IntersectionObserver((entries) => {
    seen = entries.at(-1)?.isIntersecting ?? false;
    if (seen && plot) plot.setData(data());
    else if (seen) void begin();
  });
  const width = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }));
  sight.observe(element);
  width.observe(element);
  dark.addEventListener('change', redraw);

  async function begin() {
    clearTimeout(again);
    const loaded = await import('uplot').catch(() => null);
    if (over || plot) return;
    if (!loaded) {
      // The relay is gone, and with it the rest of the page.
      again = setTimeout(begin, RETRY);
      return;
    }
    const { default: Plot } = loaded;
    plot = new Plot(options(element), data(), element);
    dispose = now.subscribe(() => {
      if (seen && !document.hidden) plot?.setData(data());
    });
  }

  function data(): import('uplot').AlignedData {
    const { at, values } = history(kind, of);
    const last = Math.round(now.peek() / 1000);
    // The axis is five minutes long from the beginning, so that nothing seems to move that does not.
    return [
      [last - 300, ...at.filter((time) => time > last - 300)],
      [null, ...values.slice(values.length - at.filter((time) => time > last - 300).length)],
    ];
  }

  function end() {
    clearTimeout(again);
    dispose();
    plot?.destroy();
    plot = undefined;
  }

  function redraw() {
    end();
    if (seen) void begin();
  }

  return () => {
    over = true;
    end();
    sight.disconnect();
    width.disconnect();
    dark.removeEventListener('change', redraw);
  };
}

function options(element: HTMLElement): import('uplot').Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = `11px ${style.fontFamily}`;
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 14, 0, 0],
    scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.15, 100_000)] } },
    axes: [
      {
        stroke: colour('--quiet'),
        font,
        size: 20,
        space: 60,
        grid: { show: false },
        ticks: { show: false },
        values: (_, times) => times.map((time) => ago(time)),
        splits: (_, __, min, max) => [0, 1, 2, 3, 4].map((minute) => max - minute * 60).filter((time) => time >= min),
      },
      {
        stroke: colour('--quiet'),
        font,
        size: 58,
        space: 28,
        grid: { stroke: colour('--line'), width: 1 },
        ticks: { show: false },
        values: (_, rates) => rates.map((value) => (value === 0 ? '0' : rate(value))),
      },
    ],
    series: [
      {},
      { stroke: colour('--accent'), width: 2, fill: colour('--accent-tint'), points: { show: false }, spanGaps: false },
    ],
  };
}

function ago(time: number): string {
  const minutes = Math.round((now.peek() / 1000 - time) / 60);
  return minutes <= 0 ? 'now' : `-${minutes} min`;
}
