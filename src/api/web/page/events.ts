// Server-sent events out of pieces of text. EventSource cannot send a header, so that the page reads them by itself.

export interface Event {
  id: string | null;
  name: string;
  data: string;
}

/** Reads events from text that comes in pieces of any size. */
export class Events {
  private rest = '';
  private id: string | null = null;
  private name = '';
  private data: string[] = [];

  /** The events that are whole with this piece. */
  push(text: string): Event[] {
    const events: Event[] = [];
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '' || line === '\r') {
        if (this.data.length) events.push({ id: this.id, name: this.name || 'message', data: this.data.join('\n') });
        this.name = '';
        this.data = [];
        continue;
      }
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line.replace(/\r$/, '')) ?? [];
      if (field === 'id') this.id = value ?? '';
      else if (field === 'event') this.name = value ?? '';
      else if (field === 'data') this.data.push(value ?? '');
    }
    return events;
  }
}
